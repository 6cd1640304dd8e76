"""Feature bags from files of rows: CSV, Parquet, Arrow, or a folder of the last two.

A row is either a bag, whose `features` are a list of lists, or an instance. The features of instances are one column of
lists, or all columns of numbers that have no other meaning. Rows of a bag that stand apart are put together.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from negsift.common.arrays import Index
from negsift.common.data.arrow_files import ARROW, is_list, read_schema
from negsift.common.data.table.schema import COLUMNS, Payload
from negsift.common.data.table.sources.columns import text_columns
from negsift.common.data.table.sources.feature_column import Features, feature_column, to_dtype
from negsift.common.data.table.sources.labels import LabelReader
from negsift.common.data.table.sources.mat_files import MAT
from negsift.common.data.table.sources.rows_apart import find_apart, put_together, require_room
from negsift.common.data.table.sources.shards import DataFile, shards
from negsift.common.data.table.sources.source import BuildConfig, Part, Remark, Source, stamp
from negsift.common.data.table.sources.tabular_files import (
    describe_rows,
    has_bags,
    label_reader,
    read_batches,
    require_same,
    with_split,
)
from negsift.common.errors import BadData, BadInput, UnknownName
from negsift.common.some_of import some_of

_ROW_NUMBERS = ("", "Unnamed: 0", "__index_level_0__")
_RESET_INDEX = ("index", "level_0")  # names that may be features; they are row numbers if they count from 0


def open_features(source: Path, config: BuildConfig) -> Source:
    """The bags of a file or of a folder of shards. Raises BadData for missing columns and for features that are not
    numbers.
    """
    files = shards(source)
    _require_key(files[0].path, config)
    first = _Layout(next(read_batches(files[0].path, config, name=files[0].name)), config)
    payload = Payload("features", config.dtype, (first.width,))
    read = functools.partial(_read, config=config, width=first.width)
    # Where a bag is a row, no bag is in two files.
    parts = [[file] for file in files] if first.nested else [files]
    return Source(
        payload, [Part(functools.partial(read, some), [stamp(file.path) for file in some]) for some in parts],
        beside=first.unused,
    )  # fmt: skip


def _require_key(path: Path, config: BuildConfig) -> None:
    """Raise BadInput for a `key` that is no column of lists. In a .mat file it is an array, which its reader finds."""
    if config.key is None or path.name.lower().endswith(MAT):
        return
    schema = read_schema(path) if path.suffix.lower() in ARROW else pa.schema([])
    lists = [field.name for field in schema if is_list(field.type)]
    if config.key not in lists:
        remedy = "correct key=" if lists else "leave key out"
        raise BadInput(f"key={config.key} of {path}", f"a column of lists: {some_of(lists) or 'it has none'}", remedy)


def _read(files: Sequence[DataFile], config: BuildConfig, width: int) -> Iterator[pa.Table | str]:
    """Tables of complete bags, and a remark where rows of bags were put together."""
    batches = itertools.chain.from_iterable(_layouts(file, config, width) for file in files)
    first, layout = next(batches)
    batches = itertools.chain([(first, layout)], batches)
    if layout.nested:
        return (layout.nested_bags(batch) for batch, layout in batches)
    described = ((layout.described(batch), layout.matrix(batch)) for batch, layout in batches)
    apart = find_apart(files, config)
    if not apart.bags:
        return group_rows(described, config.instance_labels)
    require_room(apart, width * np.dtype(config.dtype).itemsize, files[0].path)
    remark = (
        f"the rows of {apart.bags:,} bags stood apart: they were put together, bags in the order of their first rows"
    )
    return itertools.chain([Remark(remark)], group_rows(put_together(described, apart.rows), config.instance_labels))


def _layouts(file: DataFile, config: BuildConfig, width: int) -> Iterator[tuple[pa.Table, "_Layout"]]:
    layout: _Layout | None = None
    for batch in read_batches(file.path, config, name=file.name):
        if layout is None:
            layout = _Layout(batch, config, label_reader(batch.schema, file.path, config), file.split, width)
        yield batch, layout


class _Layout:
    """The columns of a file, and whether a row is a bag or an instance."""

    def __init__(
        self, first: pa.Table, config: BuildConfig, labels: LabelReader | None = None, split: str | None = None,
        width: int | None = None,
    ) -> None:  # fmt: skip
        self._config, self._labels, self._split, self._width = config, labels, split, width
        known = text_columns(first.column_names, config)
        self._listed = "features" in first.column_names and is_list(first["features"].type)
        self.nested = has_bags(first.schema)
        unknown = [name for name in config.leave_out if name not in first.column_names]
        if unknown:
            raise UnknownName("column in leave_out", unknown[0], first.column_names)
        others = [name for name in first.column_names if name not in known]
        self._columns = [name for name in others if name not in (*config.leave_out, *_ROW_NUMBERS)]
        self.unused = [f"column {name!r}: no feature" for name in others if self._is_unused(name)]
        numbered = [name for name in self._columns if self._counts_rows(first, name)]
        if numbered:
            found = f"column {numbered[0]!r}, in which pandas writes the numbers of rows"
            raise BadData(found, "columns of features", f"set leave_out={numbered[0]}, or write it with index=False")
        if not self._columns:
            found = f"no column of features among {some_of(first.column_names)}"
            raise BadData(found, "columns of numbers, or one called features", "add them")
        self.width = self.matrix(first).shape[1]

    def _is_unused(self, name: str) -> bool:
        return name not in self._columns or (self._listed and name != "features")

    def _counts_rows(self, first: pa.Table, name: str) -> bool:
        """Whether a column is what `reset_index` makes of an index, and would be a feature."""
        numbers = range(first.num_rows)
        return name in _RESET_INDEX and not self._listed and first[name].to_pylist() == list(numbers)

    def nested_bags(self, batch: pa.Table) -> pa.Table:
        """The bags of a batch whose rows are bags."""
        lengths = batch["features"].combine_chunks().value_lengths().fill_null(0)
        offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy())]).astype(np.int64)
        return self.described(batch).append_column("features", feature_column(self.matrix(batch), offsets))

    def described(self, batch: pa.Table) -> pa.Table:
        """Ids, labels, splits and groups of the rows of a batch."""
        assert self._labels is not None
        return with_split(describe_rows(batch, self._config, self._labels), self._split)

    def matrix(self, batch: pa.Table) -> Features:
        """The features of all instances of a batch, (M, D)."""
        if not self._listed:
            columns = [_numbers(batch[name].combine_chunks(), name) for name in self._columns]
            return to_dtype(np.stack(columns, axis=1), self._config.dtype)
        column = batch["features"].combine_chunks()
        column = column.flatten() if self.nested else column
        lengths = np.unique(column.value_lengths().fill_null(0).to_numpy())
        width = self._width or (int(lengths[0]) if len(lengths) else 0)
        if any(lengths != width):
            found = some_of(sorted({width, *lengths.tolist()}))
            raise BadData(f"instances of {found} features", "the same number for every instance", "correct the source")
        if not width:
            found = "no number in the features of row 0, nor in those of the rows after it"
            raise BadData(found, "instances of at least one number", "correct the source")
        return to_dtype(_numbers(column.flatten(), "features").reshape(-1, width), self._config.dtype)


def group_rows(batches: Iterator[tuple[pa.Table, Features]], instance_labels: bool = False) -> Iterator[pa.Table]:
    """Tables of complete bags, from batches of (table with a row for each instance, features (M, D)). The last bag of a
    batch may continue in the next one, so it is kept back until then. With `instance_labels` a bag has all labels of
    its rows. Raises BadData where the rows of a bag disagree on its labels, split or group.
    """
    rest: tuple[pa.Table, Features] | None = None
    for table, feats_MD in batches:
        if rest is not None:
            table = pa.concat_tables([rest[0], table]).combine_chunks()
            feats_MD = np.concatenate([rest[1], feats_MD])
        starts = _starts(table)
        last = int(starts[-1])
        rest = table.slice(last), feats_MD[last:]
        if last:
            yield _bags(table.slice(0, last), feats_MD[:last], starts, instance_labels)
    if rest is not None:
        yield _bags(*rest, np.array([0, len(rest[1])]), instance_labels)


def _starts(table: pa.Table) -> Index:
    """The first row of each bag."""
    ids = table["bag_id"].combine_chunks()
    changes = np.asarray(pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)))
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def _bags(table: pa.Table, feats_MD: Features, offsets: Index, instance_labels: bool) -> pa.Table:
    ids = table["bag_id"]
    if instance_labels:
        table = table.set_column(1, "labels", _joined(table["labels"].to_pylist(), offsets))
    first = table.take(pa.array(np.repeat(offsets[:-1], np.diff(offsets))))
    for name in table.column_names:
        if name != "bag_id" and not first[name].combine_chunks().equals(table[name].combine_chunks()):
            for bag, one, other in zip(*(part.to_pylist() for part in (ids, first[name], table[name])), strict=True):
                require_same(bag, name, one, other)
    return table.take(pa.array(offsets[:-1])).append_column("features", feature_column(feats_MD, offsets))


def _joined(labels: Sequence[list[str] | None], offsets: Index) -> pa.Array:
    """For each row the labels of all rows of its bag; null if nobody has told one of them."""
    rows = list[list[str] | None]()
    for start, end in itertools.pairwise(offsets.tolist()):
        told = [some for some in labels[start:end] if some is not None]
        joined = sorted({label for some in told for label in some}) if told else None
        rows += [joined] * (end - start)
    return pa.array(rows, COLUMNS["labels"])


def _numbers(column: pa.Array, name: str) -> NDArray[Any]:  # Any: integers or floats, as the file
    numeric = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    if not numeric or column.null_count:
        found = f"{column.null_count} missing values" if numeric else f"type {column.type}"
        expected = "numbers in every column except id, labels, split and group_id"
        raise BadData(f"{found} in column {name!r}", expected, "fill it, or leave_out=COLUMN")
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)  # Any: as above
    return values
