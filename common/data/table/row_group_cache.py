"""Decoded row groups on local disk, one memory-mapped file each.

A file is named by the hash of the encoded bytes and by the decoding parameters, so all processes and all tasks
over a table share it. It is written under another name and renamed, so a killed process leaves no partial file.
Within a process, tasks also share the row groups in memory.
"""

import logging
import mmap
import os
import shutil
import time
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import numpy as np

from negsift.common.data.cache_folder import cache_folder
from negsift.common.data.table.decoded_row_group import DecodedRowGroup, decoded_bytes
from negsift.common.data.table.manifest import RowGroup
from negsift.common.data.table.schema import Payload
from negsift.common.unfinished import replacing

log = logging.getLogger(__name__)
T = TypeVar("T", DecodedRowGroup, DecodedRowGroup | None)
_DAY_S = 86_400
IN_USE: WeakValueDictionary[str, DecodedRowGroup] = WeakValueDictionary()
"""The row groups that some stream of this process keeps in memory, by file name."""


class RowGroupCache:
    """Files of at most `limit_bytes`, counted over all processes; 0 turns the cache off. Files that were not used for a
    day are removed to make room.
    """

    def __init__(self, payload: Payload, limit_bytes: int) -> None:
        self._payload, self._limit, self._folder = payload, limit_bytes, cache_folder() / "bags"

    def find(self, group: RowGroup) -> DecodedRowGroup | None:
        """The row group from this process's memory, or else mapped from its file; None without a complete file."""
        in_use = IN_USE.get(self._path(group).name)
        return self._share(group, self._map(group) if in_use is None else in_use)

    def keep(self, group: RowGroup, decoded: DecodedRowGroup) -> DecodedRowGroup:
        """The row group mapped from a new file; `decoded` itself if the disk has no room."""
        size = decoded.values.nbytes + decoded.offsets.nbytes
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._make_room(size):
                with replacing(self._path(group)) as stream:
                    stream.write(decoded.offsets.data)
                    stream.write(np.ascontiguousarray(decoded.values).data)
                decoded = self._map(group) or decoded
        except OSError as error:  # the cache is optional: a full or read-only disk must not end the run
            log.warning("decoded bags are no longer kept on disk (%s)", error)
            self._limit = 0
        return self._share(group, decoded)

    def _share(self, group: RowGroup, decoded: T) -> T:
        if decoded is not None:
            IN_USE[self._path(group).name] = decoded
        return decoded

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
        mapped.madvise(mmap.MADV_WILLNEED)  # else scoring would wait for the disk at every page
        offsets = np.frombuffer(mapped, np.int64, group.rows + 1)
        dtype, shape = self._payload.decoded
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
        (dtype, axes), sound = self._payload.decoded, self._payload.sound
        shape = "x".join(map(str, axes))
        clips = f"-{sound.features.replace('/', '-')}-{sound.sample_rate}-{sound.seconds}" if sound else ""
        return self._folder / f"{group.digest}-{dtype}-{shape}{clips}.bags"
