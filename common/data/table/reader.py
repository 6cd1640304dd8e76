"""Reads from a table's files: whole row groups, checked against their hashes, and single columns."""

import hashlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from negsift.common.data.table.byte_range_file import ByteRangeFile
from negsift.common.data.table.check import check_file
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, TableFile
from negsift.common.errors import BadData
from negsift.common.lru_cache import LruCache

_FOOTERS = 8


class RowGroupReader:
    """Reads row groups of one version of a table."""

    def __init__(self, location: Location, manifest: Manifest) -> None:
        self._location, self._manifest = location, manifest
        self._footers: LruCache[int, pq.FileMetaData] = LruCache(_FOOTERS)

    def read(self, place: tuple[int, int], column: str, rows: int) -> Iterator[pa.Array]:
        """A column of the row group at (file, group in it), `rows` rows at a time to limit the memory for decoding.
        Raises BadData, before the first row, if the group's bytes differ from those that were written.
        """
        file, group = self._manifest.files[place[0]], self._manifest.group(place)
        data = self._location.read(file.name, group.start, group.size_bytes)
        if hashlib.sha256(data).hexdigest() != group.digest:
            fault = "truncated" if data.size < group.size_bytes else "changed"
            found = f"row group {place[1]} of {self._location.name}/{file.name} {fault}"
            remedy = "restore the original file, or rebuild the table"
            raise BadData(found, "the content that the manifest lists", remedy)
        footer = self._footers.get_or_make(place[0], lambda: check_file(self._location, file, self._manifest.payload))
        encoded = pa.PythonFile(ByteRangeFile(data, group.start, file.size_bytes), mode="r")
        # The bytes are in memory already, so pre-buffering would only copy them.
        with pq.ParquetFile(encoded, metadata=footer, pre_buffer=False) as opened:
            for batch in opened.iter_batches(rows, row_groups=[place[1]], columns=[column], use_threads=False):
                yield batch.column(0)


def read_columns(
    location: Location, files: Sequence[tuple[TableFile, pq.FileMetaData]], columns: Sequence[str]
) -> Iterator[pa.Table]:
    """Some columns of checked files, a table for each row group. Raises BadData for a file that can't be read."""
    for file, footer in files:
        try:
            with location.fs.open_input_file(location.path_of(file.name)) as stream:
                opened = pq.ParquetFile(stream, metadata=footer)
                for group in range(len(file.groups)):
                    yield opened.read_row_group(group, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            found = f"{location.name}/{file.name} unreadable ({error})"
            raise BadData(found, "the file that the manifest lists", "restore it, or rebuild the table") from None
