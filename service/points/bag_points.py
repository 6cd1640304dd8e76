"""Bags as points for k-means++ and its kin: each shard's gradients or features, on one grid for all shards.

Memory: 4 bytes a number, in a temporary memory-mapped file beyond what the shard may keep.
"""

import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Array, Index
from negsift.common.block_subset import BlockSubset
from negsift.common.types import Embedded, EmbeddingSpec
from negsift.service.kmeanspp.messages import Moments
from negsift.service.kmeanspp.points import Points, Steps, grid_exponent, snap
from negsift.service.kmeanspp.shard_rows import BackendFactory, ShardRows


@dataclass(frozen=True)
class PointsSpec:
    """Which points: the last layer's gradients, or the features it reads.

    With `floor` (norm, index) only bags of a longer gradient, or as long and not behind `index`. With a
    `subset` only its bags.
    """

    embedding: EmbeddingSpec
    of: Literal["gradient", "features"] = "gradient"
    floor: tuple[float, int] | None = None
    subset: BlockSubset | None = None


@dataclass(frozen=True)
class PointsMeasure:
    """A shard's points before there is a grid: bags seen, those dropped as not finite, points; of each factor the
    largest entry and the columns (nothing where the shard has no bag); and the bags below the floor.
    """

    seen: int
    dropped: int
    count: int
    largest: Sequence[float]
    columns: Sequence[int]
    below: Moments


@dataclass(frozen=True)
class Grid:
    """The steps on which all shards put their points: for each factor the power of two, and the columns."""

    exponents: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def over(cls, parts: Sequence[PointsMeasure]) -> "Grid":
        """The grid for all points together."""
        held = [part for part in parts if part.columns]
        columns = tuple(held[0].columns) if held else (1,)
        largest = [max((part.largest[at] for part in held), default=0.0) for at in range(len(columns))]
        return cls(tuple(map(grid_exponent, largest, columns)), columns)

    @property
    def square(self) -> float:
        """A squared step, in the points' own units."""
        return math.ldexp(1.0, 2 * sum(self.exponents))

    @property
    def point_bytes(self) -> int:
        """What a point takes: its numbers and its position."""
        return 4 * sum(self.columns) + 8


class BagPoints:
    """One shard's points, kept between the rounds of a selection."""

    def __init__(self, parts: Iterable[Embedded], seen: int, wanted: PointsSpec, limit_bytes: int) -> None:
        """`parts` hold `seen` bags in all, in the order of their index."""
        room, dropped, below = _PointBuffer(seen, limit_bytes), 0, [Moments(0, 0.0, 0.0)]
        for part in parts:
            factors = _factors(part, wanted)
            finite = np.logical_and.reduce([np.isfinite(factor).all(1) for factor in factors])
            high = _above(part, wanted.floor)
            rows = np.flatnonzero(finite & high)
            room.add(part.index[rows], [factor[rows] for factor in factors])
            dropped += int((~finite).sum())
            below.append(_moments(part, finite & ~high))
        self._index, self._factors = room.index[: room.filled], [factor[: room.filled] for factor in room.factors]
        largest = [float(max(factor.max(initial=0.0), -factor.min(initial=0.0))) for factor in self._factors]
        columns = [factor.shape[1] for factor in self._factors]
        self.measured = PointsMeasure(seen, dropped, room.filled, largest, columns, Moments.total(below))
        self._rows: ShardRows | None = None

    def rows(self, grid: Grid, body: BackendFactory | None = None) -> ShardRows:
        """The points on the grid, which are snapped in place the first time."""
        if self._rows is None:
            raw = self._factors or [np.zeros((0, columns), dtype=np.float32) for columns in grid.columns]
            snapped = tuple(snap(factor, exponent) for factor, exponent in zip(raw, grid.exponents, strict=True))
            self._rows = ShardRows(Points(self._index, snapped), body)
        return self._rows


class _PointBuffer:
    """Arrays for so many points, made when the first ones tell their shape."""

    def __init__(self, count: int, limit_bytes: int) -> None:
        self._count, self._limit_bytes, self.filled = count, limit_bytes, 0
        self.index: Index = np.zeros(count, dtype=np.int64)
        self.factors: list[Steps] = []

    def add(self, index: Index, factors: Sequence[Steps]) -> None:
        self.factors = self.factors or [self._array(factor.shape[1]) for factor in factors]
        run = slice(self.filled, self.filled + len(index))
        self.index[run] = index
        for mine, theirs in zip(self.factors, factors, strict=True):
            mine[run] = theirs
        self.filled += len(index)

    def _array(self, columns: int) -> Steps:
        if 4 * columns * self._count <= self._limit_bytes:
            return np.zeros((self._count, columns), dtype=np.float32)
        with tempfile.TemporaryFile() as file:  # the mapping outlives it
            return np.memmap(file, np.float32, "w+", shape=(self._count, columns))


def _factors(part: Embedded, wanted: PointsSpec) -> list[Steps]:
    """The points' factors, as float32: two classes' gradients are one product, more classes' stay two."""
    if wanted.of == "features":
        return [part.features.astype(np.float32, copy=False)]
    assert part.gradient is not None  # the ask says so
    left, right = part.gradient.left, part.gradient.right
    both: list[Array] = [left * right] if left.shape[1] == 1 else [left, right]
    with np.errstate(over="ignore"):
        return [factor.astype(np.float32) for factor in both]


def _above(part: Embedded, floor: tuple[float, int] | None) -> NDArray[np.bool_]:
    """Whether a bag's gradient is beyond the floor, (n,)."""
    if floor is None or part.gradient is None:
        return np.ones(len(part.index), dtype=np.bool_)
    norm = part.gradient.norm
    return np.asarray((norm > floor[0]) | ((norm == floor[0]) & (part.index <= floor[1])), dtype=np.bool_)


def _moments(part: Embedded, chosen: NDArray[np.bool_]) -> Moments:
    if part.gradient is None or not chosen.any():
        return Moments(0, 0.0, 0.0)
    return Moments.of(np.square(part.gradient.norm[chosen]))
