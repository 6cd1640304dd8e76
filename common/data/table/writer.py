"""Writes a version of a table: bags in, row groups by bytes, the manifest last. All of it, or nothing."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from common.data.table.check import check_bags
from common.data.table.ids import require_unique_ids
from common.data.table.location import Location
from common.data.table.manifest import File, Manifest, read_manifest, versions, write_manifest
from common.data.table.schema import COLUMNS, Payload, table_schema
from common.data.table.sink import ParquetSink
from common.errors import BadData, BadInput
from common.types import Index

GROUP_MB = 16
MOST_MB = 48  # of payload; ids, labels and levels stay below the 64 MB a row group may have
_FILE_BYTES = 1 << 29


class TableWriter:
    """A context in which bags are added; at its end they become the table's next version.

    With `append` the bags are added to the table that is there, else there must be none. Raises
    BadInput for a place that is taken, BadData for bags that don't fit the schema or the table.
    """

    def __init__(self, where: Location, payload: Payload, *, append: bool = False, group_mb: float = GROUP_MB) -> None:
        if not 0 < group_mb <= MOST_MB:
            raise BadInput(f"row groups of {group_mb} MiB", f"at most {MOST_MB} MiB", "correct group_mb")
        self._where, self._payload, self._limit = where, payload, int(group_mb * 2**20)
        self._before = _before(where, payload, append)
        self._schema = table_schema(payload)
        self._waiting, self._waiting_bytes = list[pa.Table](), 0
        self._sink: ParquetSink | None = None
        self._files, self._classes, self._left_out = list[File](), set[str](), list[str]()
        self._made: Manifest | None = None

    def add(self, bags: pa.Table) -> None:
        """Bags with `bag_id`, `labels`, the payload and any optional column, in order."""
        table = _complete(bags, self._schema, self._payload)
        check_bags(table, self._payload)
        self._classes |= set(pc.unique(pc.list_flatten(table["labels"])).to_pylist())
        while table.num_rows:
            ends = np.cumsum(_row_bytes(table, self._payload))
            fits = int(np.searchsorted(ends, self._limit - self._waiting_bytes, side="right"))
            fits = max(fits, 0 if self._waiting else 1)  # a bag larger than a group has one to itself
            if fits:
                self._waiting.append(table.slice(0, fits))
                self._waiting_bytes += int(ends[fits - 1])
            table = table.slice(fits)
            if table.num_rows:
                self._flush()

    def declare(self, classes: tuple[str, ...]) -> None:
        """Classes that may be a target though no bag is positive for them."""
        self._classes |= set(classes)

    def leave_out(self, dropped: Sequence[str]) -> None:
        """Note what the source has that is no bag, a line each."""
        self._left_out += dropped

    def finish(self) -> None:
        """Write what waits and make the version visible."""
        self._flush()
        self._close_file()
        if not self._files:
            raise BadData("no bags", "one at least", "look at the source")
        before = self._before
        earlier = before.files if before else ()
        require_unique_ids(self._where, (*earlier, *self._files))
        classes = tuple(sorted(self._classes | set(before.classes if before else ())))
        version = before.version + 1 if before else 1
        left_out = (*(before.left_out if before else ()), *self._left_out)
        self._made = Manifest(version, self._payload, classes, (*earlier, *self._files), left_out)
        write_manifest(self._where, self._made)

    @property
    def made(self) -> Manifest:
        """The version's manifest, once the context has ended."""
        assert self._made is not None
        return self._made

    def discard(self) -> None:
        """Remove all files written so far."""
        if self._sink:
            self._sink.discard()
        listed = {file.name for file in read_manifest(self._where).files} if versions(self._where) else set()
        for file in self._files:
            if file.name not in listed:  # another writer may have written the very same
                self._where.remove(file.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return self.discard()
        try:
            self.finish()
        except BaseException:
            self.discard()
            raise

    def _flush(self) -> None:
        if self._waiting:
            self._sink = self._sink or ParquetSink(self._where, self._schema)
            self._sink.add(pa.concat_tables(self._waiting))
            self._waiting, self._waiting_bytes = [], 0
            if self._sink.size_bytes >= _FILE_BYTES:
                self._close_file()

    def _close_file(self) -> None:
        if self._sink:
            version = self._before.version + 1 if self._before else 1
            self._files.append(self._sink.finish(f"bags-{version:06d}-{len(self._files):04d}"))
            self._sink = None


def _before(where: Location, payload: Payload, append: bool) -> Manifest | None:
    known = versions(where)
    if known and not append:
        raise BadInput(
            f"a bag table at {where.name} (version {known[-1]})", "an empty place", "add --append or choose another"
        )
    if not known:
        return None
    manifest = read_manifest(where)
    if manifest.payload != payload:
        raise BadData(f"bags of {payload}", f"{manifest.payload}, as in {where.name}", "build a table of its own")
    return manifest


def _complete(bags: pa.Table, schema: pa.Schema, payload: Payload) -> pa.Table:
    missing = [name for name in ("bag_id", "labels", payload.column) if name not in bags.column_names]
    if missing:
        raise BadData(f"bags without {', '.join(missing)}", "bag_id, labels and the payload", "add the column")
    sizes = np.ones(bags.num_rows, dtype=np.int32)
    if not payload.single:
        sizes = pc.fill_null(pc.list_value_length(bags[payload.column]), 0).cast(pa.int32())
    columns = {name: bags[name] for name in (*COLUMNS, payload.column) if name in bags.column_names}
    columns |= {"n_instances": sizes}
    nothing = {name: pa.nulls(bags.num_rows, kind) for name, kind in COLUMNS.items() if name not in columns}
    whole = pa.table(columns | nothing).select(schema.names)
    try:
        return whole.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise BadData(f"bags that don't fit the schema ({error})", str(payload), "correct the source") from None


def _row_bytes(table: pa.Table, payload: Payload) -> Index:
    """What each bag takes in a row group, decoded or encoded, whichever is more."""
    sizes: Index = table["n_instances"].to_numpy().astype(np.int64)
    if payload.column == "features":
        return sizes * payload.instance_bytes
    column = table[payload.column].combine_chunks()
    encoded = column if payload.single else column.flatten()
    ends = np.concatenate([[0], np.cumsum(pc.binary_length(encoded.field("bytes")).to_numpy(zero_copy_only=False))])
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    encoded_bytes: Index = np.diff(ends[bounds]).astype(np.int64)
    return np.maximum(encoded_bytes, sizes * payload.instance_bytes)
