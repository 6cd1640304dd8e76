"""Writes bags into Parquet files: checked, in the schema's form, in row groups of limited size."""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.arrays import Index
from negsift.common.data.table.check import check_bags, count_not_finite
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import TableFile
from negsift.common.data.table.schema import Payload, table_schema
from negsift.common.data.table.sink import ParquetSink
from negsift.common.errors import BadData

_FILE_BYTES = 1 << 29


class RowGroupWriter:
    """Files whose names begin with `prefix`, in row groups of at most `limit_bytes` of payload, encoded or decoded."""

    def __init__(self, location: Location, payload: Payload, limit_bytes: int, prefix: str) -> None:
        self._location, self._payload, self._limit, self._prefix = location, payload, limit_bytes, prefix
        self._schema = table_schema(payload)
        self._waiting, self._waiting_bytes = list[pa.Table](), 0
        self._sink: ParquetSink | None = None
        self._files, self.rows = list[TableFile](), 0
        self.left_out = list[str]()

    def add(self, bags: pa.Table) -> None:
        """Append bags with `bag_id`, `labels`, the payload and any optional column. Bags without instances, or with
        features that are not finite, are left out, with a line in `left_out`. Raises BadData as `check_bags`.
        """
        table = _complete(bags, self._schema, self._payload)
        check_bags(table, self._payload)
        table = self._with_instances(table)
        if self._payload.column == "features":
            table = self._finite(table)
        self.rows += table.num_rows
        while table.num_rows:
            ends = np.cumsum(_row_bytes(table, self._payload))
            fits = int(np.searchsorted(ends, self._limit - self._waiting_bytes, side="right"))
            fits = max(fits, 0 if self._waiting else 1)  # a bag larger than the limit gets a row group of its own
            if fits:
                self._waiting.append(table.slice(0, fits))
                self._waiting_bytes += int(ends[fits - 1])
            table = table.slice(fits)
            if table.num_rows:
                self._flush()

    def finish(self) -> tuple[TableFile, ...]:
        """Write the bags that are still in memory, and return all files."""
        self._flush()
        self._close_file()
        return tuple(self._files)

    def discard(self, listed: Collection[str]) -> None:
        """Remove all files written so far, except those `listed` by a manifest."""
        if self._sink:
            self._sink.discard()
        for file in self._files:
            if file.name not in listed:
                self._location.remove(file.name)

    def _with_instances(self, table: pa.Table) -> pa.Table:
        empty = pc.equal(table["n_instances"], 0)
        self.left_out += [f"{name}: no instances" for name in table["bag_id"].filter(empty).to_pylist()]
        return table.filter(pc.invert(empty))

    def _finite(self, table: pa.Table) -> pa.Table:
        wrong = count_not_finite(table)
        rows = np.flatnonzero(wrong)
        names = table["bag_id"].take(pa.array(rows)).to_pylist()
        self.left_out += [f"{name}: {wrong[row]} numbers not finite" for name, row in zip(names, rows, strict=True)]
        return table.filter(pa.array(wrong == 0)) if len(rows) else table

    def _flush(self) -> None:
        if self._waiting:
            self._sink = self._sink or ParquetSink(self._location, self._schema)
            self._sink.add(pa.concat_tables(self._waiting))
            self._waiting, self._waiting_bytes = [], 0
            if self._sink.size_bytes >= _FILE_BYTES:
                self._close_file()

    def _close_file(self) -> None:
        if self._sink:
            self._files.append(self._sink.finish(f"{self._prefix}-{len(self._files):04d}.parquet"))
            self._sink = None


def _complete(bags: pa.Table, schema: pa.Schema, payload: Payload) -> pa.Table:
    """The bags in the schema's form, with `n_instances` and nulls for absent optional columns."""
    missing = [name for name in ("bag_id", "labels", payload.column) if name not in bags.column_names]
    if missing:
        raise BadData(f"bags without {', '.join(missing)}", "bag_id, labels and the payload", "add the column")
    sizes = np.ones(bags.num_rows, dtype=np.int32)
    if not payload.single:
        sizes = pc.fill_null(pc.list_value_length(bags[payload.column]), 0).cast(pa.int32())
    columns = {name: bags[name] for name in schema.names if name in bags.column_names} | {"n_instances": sizes}
    absent = {field.name: pa.nulls(bags.num_rows, field.type) for field in schema if field.name not in columns}
    try:
        return pa.table(columns | absent).select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise BadData(f"bags that don't fit the schema ({error})", str(payload), "correct the source") from None


def _row_bytes(table: pa.Table, payload: Payload) -> Index:
    """The size of each bag in a row group, decoded or encoded, whichever is larger."""
    sizes: Index = table["n_instances"].to_numpy().astype(np.int64)
    if payload.column in ("features", "instance_rows"):
        return sizes * payload.instance_bytes
    column = table[payload.column].combine_chunks()
    encoded = column if payload.single else column.flatten()
    ends = np.concatenate([[0], np.cumsum(pc.binary_length(encoded.field("bytes")).to_numpy(zero_copy_only=False))])
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    encoded_bytes: Index = np.diff(ends[bounds]).astype(np.int64)
    return np.maximum(encoded_bytes, sizes * payload.instance_bytes)
