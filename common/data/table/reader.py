"""Row groups, read as one range of bytes that is compared with its hash before anything is believed."""

import functools
import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from negsift.common.data.table.byte_range_file import ByteRangeFile
from negsift.common.data.table.check import check_file
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest
from negsift.common.errors import BadData


class GroupReader:
    """Reads row groups of one version of a table; keeps the footers of the last files read."""

    def __init__(self, where: Location, manifest: Manifest) -> None:
        self._where, self._manifest = where, manifest
        self._footer = functools.lru_cache(8)(self._read_footer)

    def read(self, place: tuple[int, int], column: str, rows: int) -> Iterator[pa.Array]:
        """A column of the row group at (file, group in it), some rows at a time, so that little is decoded at once.

        Raises BadData, before any row, where the group's bytes aren't those written.
        """
        file, group = self._manifest.files[place[0]], self._manifest.group(place)
        data = self._where.read(file.name, group.start, group.size_bytes)
        if hashlib.sha256(data).hexdigest() != group.digest:
            what = "truncated" if data.size < group.size_bytes else "changed"
            raise BadData(
                f"row group {place[1]} of {self._where.name}/{file.name} {what}",
                "the content its manifest lists",
                "bring the file back as it was, or build the table anew",
            )
        window = pa.PythonFile(ByteRangeFile(data, group.start, file.size_bytes), mode="r")
        with pq.ParquetFile(window, metadata=self._footer(place[0]), pre_buffer=False) as opened:
            for batch in opened.iter_batches(rows, row_groups=[place[1]], columns=[column], use_threads=False):
                yield batch.column(0)

    def _read_footer(self, number: int) -> pq.FileMetaData:
        return check_file(self._where, self._manifest.files[number], self._manifest.payload)
