"""Writes one Parquet file and hashes the bytes of each row group on the way."""

import hashlib
from contextlib import ExitStack, suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import RowGroup, TableFile


class HashingSink:
    """A writable file object for pyarrow that counts and hashes the bytes and passes them on."""

    closed = False

    def __init__(self, stream: Any) -> None:  # Any: pyarrow's output stream
        self._stream, self.position, self._hash = stream, 0, hashlib.sha256()

    def write(self, data: Any) -> int:  # Any: anything with the buffer interface
        """Pass `data` on; the number of its bytes."""
        self._hash.update(data)
        self._stream.write(data)
        size = memoryview(data).nbytes
        self.position += size
        return size

    def tell(self) -> int:
        """The number of bytes written so far."""
        return self.position

    def cut(self) -> str:
        """The SHA-256 of all bytes since the last call."""
        digest, self._hash = self._hash.hexdigest(), hashlib.sha256()
        return digest


class ParquetSink:
    """A Parquet file under a hidden name until it is finished."""

    def __init__(self, location: Location, schema: pa.Schema) -> None:
        self._location, self._groups = location, list[RowGroup]()
        self._hidden, self._stream = location.begin()
        self._sink = HashingSink(self._stream)
        with ExitStack() as undo:
            undo.callback(self._remove)
            with location.writing():
                self._writer = self._open(schema)
            undo.pop_all()

    @property
    def size_bytes(self) -> int:
        """The number of bytes written so far."""
        return self._sink.position

    def add(self, table: pa.Table) -> None:
        """Write one row group. Raises BadInput if there is no room for it."""
        start, instances = (self._sink.position if self._groups else 0), int(table["n_instances"].to_numpy().sum())
        with self._location.writing():
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._groups.append(RowGroup(start, self._sink.position - start, table.num_rows, instances, self._sink.cut()))

    def finish(self, name: str) -> TableFile:
        """Close the file and publish it under its name. Raises BadInput if there is no room for it."""
        with self._location.writing():
            self._writer.close()
            self._stream.close()
            self._location.publish(self._hidden, name)
        return TableFile(name, self._sink.position, self._sink.cut(), tuple(self._groups))

    def discard(self) -> None:
        """Close and remove the file."""
        with suppress(OSError):  # of a full disk, say; left open, the writer would complain at the interpreter's end
            self._writer.close()
        self._remove()

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        # Encoded media and float features do not compress, and nothing reads statistics. Dictionaries pay only for
        # columns of few distinct texts.
        return pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"), schema, compression="none", write_statistics=False,
            use_dictionary=["labels.list.element", "split", "group_id"],
        )  # fmt: skip

    def _remove(self) -> None:
        with suppress(OSError):  # as above
            self._stream.close()
        self._location.remove(self._hidden)
