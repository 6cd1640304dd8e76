"""Notes of the parts that a build has written, so that the same build goes on after it was killed or interrupted.

A note is a hidden file beside the parts' files, called by a hash of all that the part is made of: the settings, what
is to be read, and the sizes and times of its files. Notes are removed when the version is published, those of other
builds with the parts' files, and when a build fails. They are made only on local disks, by one program at a time.
"""

import dataclasses
import fcntl
import hashlib
import json
import os
import pickle
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from pyarrow.fs import LocalFileSystem

from negsift.common.data.table.check import check_files
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import table_file
from negsift.common.data.table.part import WrittenPart
from negsift.common.data.table.schema import Payload
from negsift.common.data.table.sources.source import Part
from negsift.common.errors import BadData

_PREFIX = ".part-"
_PART_FILE = re.compile(r"bags-\d{6}-[0-9a-f]{12}-\d{5}-\d{4}\.parquet")
"""What `PartWriter` calls the files of parts; only these may be removed because a note says so."""
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, BadData)


class PartNotes:
    """The notes in a table's folder. Without the lock of the folder, or away from local disks, there are none."""

    def __init__(self, location: Location, payload: Payload, settings: object) -> None:
        self._location, self._payload = location, payload
        self._settings, self._made, self._lock = repr((payload, settings)), dict[str, WrittenPart](), _lock(location)
        self._asked, self._known = dict[int, Part](), set(location.hidden(_PREFIX) if self._lock is not None else ())

    def recall(self, number: int, part: Part) -> WrittenPart | None:
        """What an earlier build has written of part `number`, if its files are all there and whole."""
        if self._lock is None or not part.files:
            return None
        self._asked[number] = part
        name = self._name(part) if self._known else ""
        if name not in self._known:
            return None
        with suppress(*_DAMAGED):
            written = self._read(name)
            check_files(self._location, written.files, self._payload)
            self._made[name] = written
            return written
        return None

    def note(self, number: int, written: WrittenPart) -> None:
        """Note that part `number` is written, which was asked for before."""
        if number in self._asked:
            name = self._name(self._asked.pop(number))
            with suppress(FileExistsError):  # of damaged content
                self._location.write(name, json.dumps(dataclasses.asdict(written)).encode())
            self._made[name] = written

    def keep(self) -> list[WrittenPart]:
        """Leave the notes to the next build, and give the parts, whose files are to stay."""
        parts = [] if self._lock is None else list(self._made.values())
        self._made.clear()
        return parts

    def remove_others(self, listed: Collection[str]) -> None:
        """Remove the parts that builds with other settings or files have left, but no file that the table lists."""
        for name in self._known - self._made.keys():
            with suppress(*_DAMAGED):
                for file in self._read(name).files:
                    if _PART_FILE.fullmatch(file.name) and file.name not in listed:
                        self._location.remove(file.name)
            self._location.remove(name)

    def close(self) -> None:
        """Remove the notes, and let the folder go."""
        for name in self._made:
            self._location.remove(name)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _read(self, name: str) -> WrittenPart:
        noted = json.loads(self._location.read(name).to_pybytes())
        files = tuple(table_file(content) for content in noted["files"])
        return WrittenPart(files, *(tuple(noted[field]) for field in ("classes", "left_out", "remarks")))

    def _name(self, part: Part) -> str:
        content = pickle.dumps((self._settings, [tuple(file) for file in part.files])) + part.pickled
        return f"{_PREFIX}{hashlib.sha256(content).hexdigest()}.json"


def _lock(location: Location) -> int | None:
    if not isinstance(location.fs, LocalFileSystem):
        return None
    with location.writing():
        Path(location.path).mkdir(parents=True, exist_ok=True)
    opened = os.open(location.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another build, whose files may yet be removed; or a file system that does not lock folders
        os.close(opened)
        return None
    return opened
