"""Small bag tables that the tests share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from negsift.common.data.table.location import Location
from negsift.common.data.table.schema import Payload
from negsift.common.data.table.sources.feature_column import feature_column
from negsift.common.data.table.writer import TableWriter

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 6
Bags = Sequence[NDArray[Any]]


def random_bags(count: int, seed: int = 0, dtype: str = "float16", longest: int = 5) -> Bags:
    """Ragged bags of random numbers."""
    random = np.random.default_rng(seed)
    return [random.normal(size=(size, WIDTH)).astype(dtype) for size in random.integers(1, longest + 1, count)]


def as_table(bags: Bags, labels: Sequence[Sequence[str] | None], first: int = 0, **more: Any) -> pa.Table:
    """Bags called b0, b1, ... in the form that a writer takes."""
    offsets = np.concatenate([[0], np.cumsum([len(bag) for bag in bags])])
    names = [f"b{number}" for number in range(first, first + len(bags))]
    labeled = pa.array(list(labels), pa.list_(pa.string()))
    return pa.table(
        {"bag_id": names, "labels": labeled, "features": feature_column(np.concatenate(bags), offsets), **more}
    )


def write(where: Path | Location, table: pa.Table, *, append: bool = False, group_mb: float = 0.0005) -> Location:
    """A table of these bags, in row groups of some ten bags."""
    location = Location.of(where)
    kind = table["features"].type.value_type
    payload = Payload("features", str(kind.value_type.to_pandas_dtype().__name__), (kind.list_size,))
    with TableWriter(location, payload, append=append, group_mb=group_mb) as writer:
        writer.add(table)
    return location


def third_positive(count: int) -> list[list[str]]:
    """Labels of which every third is positive for `bird`, and every second for `cat`."""
    return [["bird"] * (number % 3 == 0) + ["cat"] * (number % 2 == 0) for number in range(count)]


def negatives(bags: Bags, labels: Sequence[Sequence[str] | None], label: str = "bird") -> list[NDArray[Any]]:
    """The bags that are labeled and not positive, as float32."""
    pairs = zip(bags, labels, strict=True)
    return [bag.astype(np.float32) for bag, names in pairs if names is not None and label not in names]


def assert_bags(found: "Sequence[Tensor]", expected: Sequence[NDArray[Any]]) -> None:
    """The same numbers, bag by bag."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)
