"""Feature bags from a CSV or a parquet file.

Either a row is a bag, its `features` a list of lists; or a row is an instance, the rows of a bag stand
together, and the features are one column of lists or all columns of numbers that have no other meaning.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from negsift.common.data.table.schema import Payload
from negsift.common.data.table.sources.files import OPTIONAL, label_column, read_batches
from negsift.common.data.table.sources.instances import group_rows
from negsift.common.data.table.sources.ragged import as_numbers, ragged
from negsift.common.data.table.sources.source import BuildConfig, Source, as_labels
from negsift.common.errors import BadData

Matrix = NDArray[np.floating[Any]]


def open_features(path: Path, config: BuildConfig) -> Source:
    """Bags of the file; raises BadData for columns that are missing, and values that aren't numbers."""
    batches = read_batches(path, config)
    first = next(batches)
    form = _Form(first, config)
    return Source(Payload("features", config.dtype, (form.width,)), form.bags(itertools.chain([first], batches)))


class _Form:
    """Where a file's bags are: which columns, and whether a row is a bag or an instance."""

    def __init__(self, first: pa.Table, config: BuildConfig) -> None:
        self._id, self._label, self._dtype = config.id_column, label_column(first.column_names, config), config.dtype
        known = (self._id, self._label, *OPTIONAL)
        self._listed = "features" in first.column_names and _is_list(first["features"].type)
        self._nested = self._listed and _is_list(first["features"].type.value_type)
        self._columns = [name for name in first.column_names if name not in known]
        if not self._columns:
            told = f"no column of features among {', '.join(first.column_names)}"
            raise BadData(told, "columns of numbers, or one called features", "add them")
        self.width = self._matrix(first).shape[1]

    def bags(self, batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Tables of whole bags."""
        if self._nested:
            return map(self._nested_bags, batches)
        return group_rows((self._named(batch), self._matrix(batch)) for batch in batches)

    def _nested_bags(self, batch: pa.Table) -> pa.Table:
        lengths = batch["features"].combine_chunks().value_lengths().fill_null(0)
        offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy())])
        return self._named(batch).append_column("features", ragged(self._matrix(batch), offsets))

    def _named(self, batch: pa.Table) -> pa.Table:
        columns = {"bag_id": batch[self._id].cast(pa.string()), "labels": as_labels(batch[self._label])}
        return pa.table(columns | {name: batch[name] for name in OPTIONAL if name in batch.column_names})

    def _matrix(self, batch: pa.Table) -> Matrix:
        """The features of all instances of a batch, (M, D)."""
        if not self._listed:
            columns = [_numbers(batch[name].combine_chunks(), name) for name in self._columns]
            return as_numbers(np.stack(columns, axis=1), self._dtype)
        column = batch["features"].combine_chunks()
        column = column.flatten() if self._nested else column
        lengths = np.unique(column.value_lengths().fill_null(0).to_numpy())
        width = getattr(self, "width", int(lengths[0]) if len(lengths) else 0)
        if any(lengths != width):
            found = ", ".join(str(length) for length in sorted({width, *lengths.tolist()}))
            raise BadData(f"instances of {found} features", "as many for each", "correct the source")
        return as_numbers(_numbers(column.flatten(), "features").reshape(-1, width), self._dtype)


def _numbers(column: pa.Array, name: str) -> NDArray[Any]:
    numeric = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    if not numeric or column.null_count:
        found = f"{column.null_count} missing values" if numeric else f"type {column.type}"
        expected = "numbers in every column but those of id, labels, split and group_id"
        raise BadData(f"{found} in column {name!r}", expected, "drop the column or fill it")
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
