"""Opens files of Arrow columns: Parquet, and the Arrow files that Hugging Face's `save_to_disk` writes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from negsift.common.data.parquet_file import UNREADABLE, open_parquet, require_distinct, unreadable
from negsift.common.regular_file import regular

ARROW = (".parquet", ".arrow", ".feather")
_ROWS = 1 << 14
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""The last bytes of a stream."""


@dataclass(frozen=True)
class ArrowRows:
    """An open file of columns."""

    schema: pa.Schema
    opened: pq.ParquetFile | pa.RecordBatchReader | pa.RecordBatchFileReader

    def batches(self, columns: Sequence[str] | None = None, most: int = _ROWS) -> Iterator[pa.Table]:
        """The rows in order, some of the columns or all; of Parquet at most so many at a time. Codes become their text.
        Every batch has been validated.
        """
        if isinstance(self.opened, pq.ParquetFile):
            tables = (pa.Table.from_batches([batch]) for batch in self.opened.iter_batches(most, columns=columns))
        else:
            tables = (
                pa.Table.from_batches([batch]).select(columns or self.schema.names) for batch in _each(self.opened)
            )
        for table in tables:
            table.validate(full=True)
            yield plain(table)


@contextmanager
def open_rows(path: Path) -> Iterator[ArrowRows]:
    """The file, opened. Raises BadData if it can't be read, or has two columns of one name."""
    if path.suffix.lower() == ".parquet":
        with open_parquet(path) as parquet:
            yield ArrowRows(parquet.schema_arrow, parquet)
        return
    try:
        with pa.memory_map(str(regular(path))) as stream:
            try:
                opened = pa.ipc.open_file(stream)
            except pa.ArrowInvalid:  # not Arrow's format for files, but that for streams
                stream.seek(0)
                opened = pa.ipc.open_stream(stream)
                _require_end(stream)
            require_distinct(opened.schema.names, path)
            yield ArrowRows(opened.schema, opened)
    except UNREADABLE as error:
        raise unreadable(path, error, "a file of Arrow") from None


def read_schema(path: Path) -> pa.Schema:
    """The columns of a file, with their metadata. Raises BadData as `open_rows`."""
    with open_rows(path) as opened:
        return opened.schema


def _require_end(stream: pa.MemoryMappedFile) -> None:
    """Raise ArrowInvalid for a stream that was cut between two batches, which Arrow takes for its end."""
    ends = [stream.read_at(4, 0), stream.read_at(len(_END), stream.size() - len(_END))]
    if ends[0] == _END[:4] and ends[1] != _END:  # streams of Arrow before 0.15 begin and end otherwise
        raise pa.ArrowInvalid("cut between two batches")


def _each(opened: pa.RecordBatchReader | pa.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
    if isinstance(opened, pa.RecordBatchFileReader):
        return (opened.get_batch(number) for number in range(opened.num_record_batches))
    return iter(opened)


def plain(table: pa.Table) -> pa.Table:
    """The table without codes and without types of a library's own."""
    for place, (name, kind) in enumerate(zip(table.column_names, table.schema.types, strict=True)):
        if isinstance(kind, pa.BaseExtensionType):
            storage = pa.chunked_array([chunk.storage for chunk in table[name].chunks], kind.storage_type)
            table = table.set_column(place, name, storage)
        if pa.types.is_dictionary(table[name].type):
            table = table.set_column(place, name, table[name].cast(table[name].type.value_type))
    return table


def has_image_lists(kind: pa.DataType) -> bool:
    """Whether a column of this type has lists of encoded images: of bytes, or of structs with `bytes`."""
    return is_list(kind) and (is_file(kind.value_type) or is_binary(kind.value_type))


def is_file(kind: pa.DataType) -> bool:
    """Whether a column of this type has encoded files: structs with `bytes`, as `datasets` writes images and audio."""
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def is_binary(kind: pa.DataType) -> bool:
    """Whether a column of this type has bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type has lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
