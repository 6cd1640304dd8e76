"""Bags as points for k-means++ and k-centre greedy: each shard's gradients or features, on one grid for all shards.

They take 4 bytes a number, in a temporary memory-mapped file if that is more than the shard may keep in memory.
Axes: n bags, c columns.
"""

import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Array, Index
from negsift.common.block_subset import BlockSubset
from negsift.common.errors import ServiceError
from negsift.common.types import Embedded, EmbeddingSpec
from negsift.service.kmeanspp.messages import Moments
from negsift.service.kmeanspp.point_backend import BackendFactory
from negsift.service.kmeanspp.points import Points, Steps, grid_exponent, snap
from negsift.service.kmeanspp.shard_rows import ShardRows


@dataclass(frozen=True)
class PointsSpec:
    """Which points: the last layer's gradients, or the features that it reads.

    With a `floor` (norm, index) only bags whose gradient is longer, or as long at an index up to that one; with
    a `subset` only its bags.
    """

    embedding: EmbeddingSpec
    of: Literal["gradient", "features"] = "gradient"
    floor: tuple[float, int] | None = None
    subset: BlockSubset | None = None


@dataclass(frozen=True)
class PointsMeasure:
    """A shard's points before the grid is known, from which the grid is made.

    The numbers of bags seen, of bags dropped as not finite, and of points; of each factor the largest absolute
    entry and the columns (nothing where the shard has no bag); and the moments of the bags below the floor.
    """

    seen: int
    dropped: int
    count: int
    largest: Sequence[float]
    columns: Sequence[int]
    below: Moments


@dataclass(frozen=True)
class Grid:
    """The grid of all shards' points: a step is 2^exponent. One exponent and the columns of each factor."""

    exponents: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def over(cls, parts: Sequence[PointsMeasure]) -> "Grid":
        """The grid for the points of all shards."""
        filled = [part for part in parts if part.columns]
        columns = tuple(filled[0].columns) if filled else (1,)
        largest = [max((part.largest[factor] for part in filled), default=0.0) for factor in range(len(columns))]
        return cls(tuple(map(grid_exponent, largest, columns)), columns)

    @property
    def square(self) -> float:
        """A squared step in the points' own units."""
        return math.ldexp(1.0, 2 * sum(self.exponents))

    @property
    def point_bytes(self) -> int:
        """The size of a point: its numbers and its position."""
        return 4 * sum(self.columns) + 8


class BagPoints:
    """One shard's points, kept between the questions of a seeding."""

    def __init__(self, parts: Iterable[Embedded], seen: int, spec: PointsSpec, limit_bytes: int) -> None:
        """`parts` have `seen` bags in all, sorted by index."""
        buffer, dropped, below = _PointBuffer(seen, limit_bytes), 0, [Moments(0, 0.0, 0.0)]
        for part in parts:
            factors_nc = _factors(part, spec)
            finite_n = np.logical_and.reduce([np.isfinite(factor_nc).all(1) for factor_nc in factors_nc])
            above_n = _above(part, spec.floor)
            rows = np.flatnonzero(finite_n & above_n)
            buffer.add(part.index[rows], [factor_nc[rows] for factor_nc in factors_nc])
            dropped += int((~finite_n).sum())
            below.append(_moments(part, finite_n & ~above_n))
        self._index = buffer.index[: buffer.filled]
        self._factors = [factor_nc[: buffer.filled] for factor_nc in buffer.factors]
        largest = [float(max(factor.max(initial=0.0), -factor.min(initial=0.0))) for factor in self._factors]
        columns = [factor_nc.shape[1] for factor_nc in self._factors]
        self.measured = PointsMeasure(seen, dropped, buffer.filled, largest, columns, Moments.total(below))
        self._rows: ShardRows | None = None

    def rows(self, grid: Grid, make_backend: BackendFactory | None = None) -> ShardRows:
        """The points on the grid; the first call snaps them in place."""
        if self._rows is None:
            raw = self._factors or [np.zeros((0, columns), dtype=np.float32) for columns in grid.columns]
            snapped = tuple(snap(factor, exponent) for factor, exponent in zip(raw, grid.exponents, strict=True))
            self._rows = ShardRows(Points(self._index, snapped), make_backend)
        return self._rows


class _PointBuffer:
    """Arrays for `count` points, made once the first points show their columns."""

    def __init__(self, count: int, limit_bytes: int) -> None:
        self._count, self._limit_bytes, self.filled = count, limit_bytes, 0
        self.index: Index = np.zeros(count, dtype=np.int64)
        self.factors: list[Steps] = []

    def add(self, index: Index, factors: Sequence[Steps]) -> None:
        self.factors = self.factors or [self._array(factor.shape[1]) for factor in factors]
        run = slice(self.filled, self.filled + len(index))
        self.index[run] = index
        for own, added in zip(self.factors, factors, strict=True):
            own[run] = added
        self.filled += len(index)

    def _array(self, columns: int) -> Steps:
        if 4 * columns * self._count <= self._limit_bytes:
            return np.zeros((self._count, columns), dtype=np.float32)
        with tempfile.TemporaryFile() as file:  # the mapping outlives it
            _reserve(file.fileno(), 4 * columns * self._count)
            return np.memmap(file, np.float32, "w+", shape=(self._count, columns))


def _reserve(file: int, size: int) -> None:
    """Have a file take its bytes on the disk: a mapping without them ends its process where the disk is full."""
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        raise ServiceError(
            f"no room for {size / 2**20:,.1f} MiB of points in {tempfile.gettempdir()} ({error.strerror})",
            "free some space, set TMPDIR to a folder on another disk, or raise fleet.cache_mb",
        ) from error


def _factors(part: Embedded, spec: PointsSpec) -> list[Steps]:
    """The points' factors as float32; the two factors of a gradient are multiplied if one has a single column."""
    if spec.of == "features":
        return [part.features.astype(np.float32, copy=False)]
    assert part.gradient is not None  # `spec.embedding` needs it
    left_nc, right_nc = part.gradient.left, part.gradient.right
    factors: list[Array] = [left_nc * right_nc] if left_nc.shape[1] == 1 else [left_nc, right_nc]
    with np.errstate(over="ignore"):  # what overflows is dropped as not finite
        return [factor_nc.astype(np.float32) for factor_nc in factors]


def _above(part: Embedded, floor: tuple[float, int] | None) -> NDArray[np.bool_]:
    """Whether each bag is above the floor, (n,)."""
    if floor is None or part.gradient is None:
        return np.ones(len(part.index), dtype=np.bool_)
    norm = part.gradient.norm
    return np.asarray((norm > floor[0]) | ((norm == floor[0]) & (part.index <= floor[1])), dtype=np.bool_)


def _moments(part: Embedded, mask_n: NDArray[np.bool_]) -> Moments:
    """The moments of the gradients under the mask."""
    if part.gradient is None or not mask_n.any():
        return Moments(0, 0.0, 0.0)
    return Moments.of(np.square(part.gradient.norm[mask_n]))
