"""Encoded clips: where each is stored, how it is read, and a hash of its content."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from tqdm import tqdm

from negsift.common.data.arrow_files import open_rows
from negsift.common.data.cache_folder import cache_folder
from negsift.common.errors import BadData
from negsift.common.regular_file import regular
from negsift.common.unfinished import replacing

# Hashing waits for the disk, often a network one, and not for the CPU.
_READERS = 8


@dataclass(frozen=True)
class Recording:
    """The place of an encoded clip: a row of a Parquet or Arrow file, a `span` (start, size) of its bytes, or the whole
    file.
    """

    path: Path
    row: int | None = None
    span: tuple[int, int] | None = None


class RecordingReader:
    """Reads encoded clips. It keeps the last row group of a Parquet file, so rows should be read in ascending order."""

    def __init__(self) -> None:
        self._path, self._rows, self._clips = Path(), range(0), [b""]

    def read(self, recording: Recording) -> bytes:
        """The encoded clip; b"" for a parquet row without one."""
        if recording.span is not None:
            with regular(recording.path).open("rb") as stream:
                stream.seek(recording.span[0])
                return stream.read(recording.span[1])
        if recording.row is None:
            return regular(recording.path).read_bytes()
        if recording.path != self._path or recording.row not in self._rows:
            self._path, (self._rows, self._clips) = recording.path, _row_group(recording.path, recording.row)
        return self._clips[recording.row - self._rows.start]


def digests(recordings: Sequence[Recording]) -> list[str]:
    """A hash of each clip's content. A file is read again only if its size or modification time has changed."""
    paths = sorted({recording.path for recording in recordings})
    name = hashlib.blake2b(os.fsencode(os.path.commonpath(paths)), digest_size=8).hexdigest()
    memo = cache_folder() / "digests" / f"{name}.json"
    known = _recall(memo)
    stamps = {path: [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}
    fresh = [path for path in paths if known.get(str(path), [None])[:-1] != stamps[path]]
    if fresh:
        with ThreadPoolExecutor(_READERS) as threads:
            hashed = tqdm(threads.map(_digest, fresh), "reading", len(fresh), disable=None, leave=False, unit="file")
            known |= {str(path): [*stamps[path], digest] for path, digest in zip(fresh, hashed, strict=True)}
        memo.parent.mkdir(parents=True, exist_ok=True)
        with replacing(memo) as stream:
            stream.write(json.dumps(known).encode())
    of_file = {path: known[str(path)][-1] for path in paths}
    return [f"{of_file[recording.path]}/{recording.row}" for recording in recordings]


def _recall(memo: Path) -> dict[str, list[int | str]]:
    try:
        known: dict[str, list[int | str]] = json.loads(memo.read_text())
    except (OSError, ValueError):  # missing or damaged: all files are hashed again
        return {}
    return known


def _row_group(path: Path, row: int) -> tuple[range, list[bytes]]:
    """The rows of the row group that contains `row`, and their encoded clips."""
    if path.suffix.lower() != ".parquet":
        return _batch(path, row)
    file = pq.ParquetFile(path)
    start = 0
    for number in range(file.num_row_groups):
        rows = range(start, start + file.metadata.row_group(number).num_rows)
        if row in rows:
            # A row group is the smallest unit that Parquet can read without decoding it again for every row.
            column = file.read_row_group(number, columns=["audio"])["audio"].to_pylist()
            return rows, [(item or {}).get("bytes") or b"" for item in column]
        start = rows.stop
    raise IndexError(f"row {row} of {start} in {path}")


def _batch(path: Path, row: int) -> tuple[range, list[bytes]]:
    """The same of a file of Arrow, by its batches."""
    start = 0
    with open_rows(path) as opened:
        for batch in opened.batches(["audio"]):
            rows = range(start, start + batch.num_rows)
            if row in rows:
                return rows, [(item or {}).get("bytes") or b"" for item in batch["audio"].to_pylist()]
            start = rows.stop
    raise IndexError(f"row {row} of {start} in {path}")


def _digest(path: Path) -> str:
    try:
        stream = regular(path).open("rb")
    except (OSError, BadData):  # decoding reports the reason; a repaired file gets another digest
        return "unreadable"
    with stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
