"""Decoded row groups on local disk: a file each, named by the hash of what was decoded and how, and mapped.

Files are written under another name and renamed, so a killed process leaves none half-made; every
process and every task over the same table finds them there. Within a process, what one task holds
is not decoded again for another.
"""

import logging
import mmap
import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import numpy as np

from negsift.common.data.instances import cache_folder
from negsift.common.data.table.decoded_row_group import DecodedRowGroup, decoded_bytes
from negsift.common.data.table.manifest import RowGroup
from negsift.common.data.table.schema import Payload

log = logging.getLogger(__name__)
T = TypeVar("T", DecodedRowGroup, DecodedRowGroup | None)
_DAY_S = 86_400
_IN_USE: WeakValueDictionary[str, DecodedRowGroup] = WeakValueDictionary()
"""Row groups that some feed of this process holds, by the name of their file."""


class RowGroupCache:
    """Files that take at most `limit_bytes`, those of all processes together, or none if it is 0.

    Files that nobody used for a day make room for new ones.
    """

    def __init__(self, payload: Payload, limit_bytes: int) -> None:
        self._payload, self._limit, self._folder = payload, limit_bytes, cache_folder() / "bags"

    def find(self, group: RowGroup) -> DecodedRowGroup | None:
        """The row group as this process holds it already, or mapped, if it is there whole."""
        held = _IN_USE.get(self._path(group).name)
        return self._hold(group, self._map(group) if held is None else held)

    def keep(self, group: RowGroup, chunk: DecodedRowGroup) -> DecodedRowGroup:
        """The row group, mapped from a new file if there is room for it on disk, else as it is."""
        size = chunk.values.nbytes + chunk.offsets.nbytes
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._make_room(size):
                self._write(self._path(group), chunk)
                chunk = self._map(group) or chunk
        except OSError as error:  # a full or read-only disk: no reason to stop
            log.warning("no decoded bags are kept on disk from here on (%s)", error)
            self._limit = 0
        return self._hold(group, chunk)

    def _hold(self, group: RowGroup, chunk: T) -> T:
        if chunk is not None:
            _IN_USE[self._path(group).name] = chunk
        return chunk

    def _map(self, group: RowGroup) -> DecodedRowGroup | None:
        path, size = self._path(group), decoded_bytes(self._payload, group.rows, group.instances)
        try:
            if not self._limit or path.stat().st_size != size:
                return None
            os.utime(path)
            with path.open("rb") as stream:
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError:
            return None
        mapped.madvise(mmap.MADV_WILLNEED)  # read from disk now, not page by page while bags are scored
        offsets = np.frombuffer(mapped, np.int64, group.rows + 1)
        dtype, shape = self._payload.kept
        values = np.frombuffer(mapped, dtype, offset=offsets.nbytes)
        return DecodedRowGroup(values.reshape(group.instances, *shape), offsets)

    def _make_room(self, size: int) -> bool:
        files = [(path.stat(), path) for path in self._folder.iterdir()]
        taken = sum(stat.st_size for stat, _ in files)
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime):
            if taken + size <= self._limit or time.time() - stat.st_mtime < _DAY_S:
                break
            path.unlink(missing_ok=True)
            taken -= stat.st_size
        return taken + size <= min(self._limit, taken + shutil.disk_usage(self._folder).free // 2)

    def _path(self, group: RowGroup) -> Path:
        (dtype, axes), sound = self._payload.kept, self._payload.sound
        shape = "x".join(map(str, axes))
        clips = f"-{sound.features.replace('/', '-')}-{sound.sample_rate}-{sound.seconds}" if sound else ""
        return self._folder / f"{group.digest}-{dtype}-{shape}{clips}.bags"

    def _write(self, path: Path, chunk: DecodedRowGroup) -> None:
        handle, made = tempfile.mkstemp(dir=self._folder, prefix=".making-")
        with ExitStack() as undo:
            undo.callback(Path(made).unlink, missing_ok=True)
            with os.fdopen(handle, "wb") as stream:
                stream.write(chunk.offsets.data)
                stream.write(np.ascontiguousarray(chunk.values).data)
            os.replace(made, path)
            undo.pop_all()
