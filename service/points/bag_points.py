"""Bags as points for k-means++ and k-centre greedy: each shard's gradients or features, on one grid for all shards.

Axes: n bags, c columns.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Array
from negsift.common.block_subset import BlockSubset
from negsift.common.types import Embedded, EmbeddingSpec
from negsift.service.kmeanspp.messages import Moments
from negsift.service.kmeanspp.point_backend import BackendFactory
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.shard_rows import ShardRows
from negsift.service.points.grid import Grid, PointsMeasure
from negsift.service.points.point_buffer import PointBuffer

_MOST = np.float64(2.0**500)  # larger entries have no finite square, and count as not finite


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

    def grid(self, parts: Iterable[PointsMeasure]) -> Grid:
        """The grid for the points of all shards: of features, only the distances count."""
        return Grid.over(list(parts), movable=self.of == "features")


class BagPoints:
    """One shard's points, kept between the questions of a seeding."""

    def __init__(self, parts: Iterable[Embedded], seen: int, spec: PointsSpec, limit_bytes: int) -> None:
        """`parts` have `seen` bags in all, sorted by index."""
        buffer, dropped, below = PointBuffer(seen, limit_bytes), 0, [Moments(0, 0.0, 0.0)]
        for part in parts:
            factors_nc = _factors(part, spec)
            finite_n = np.logical_and.reduce([(np.abs(factor_nc) < _MOST).all(1) for factor_nc in factors_nc])
            above_n = _above(part, spec.floor)
            rows = np.flatnonzero(finite_n & above_n)
            buffer.add(part.index[rows], [factor_nc[rows] for factor_nc in factors_nc])
            dropped += int((~finite_n).sum())
            below.append(_moments(part, finite_n & ~above_n))
        extents = tuple(factor.extent() for factor in buffer.factors)
        self.measured = PointsMeasure(seen, dropped, buffer.filled, extents, Moments.total(below))
        self._buffer = buffer
        self._rows: ShardRows | None = None

    def rows(self, grid: Grid, make_backend: BackendFactory | None = None) -> ShardRows:
        """The points on the grid; the first call snaps them in place."""
        if self._rows is None:
            none = tuple(np.zeros((0, columns), dtype=np.float32) for columns in grid.columns)
            factors = zip(self._buffer.factors, grid.exponents, strict=False)
            snapped = tuple(factor.on_grid(exponent, grid.origin) for factor, exponent in factors)
            self._rows = ShardRows(Points(self._buffer.index, snapped or none), make_backend)
        return self._rows

    def leave_device(self) -> None:
        """Go on in main memory; the next query finds the bounds again, from the centres that it carries."""
        if self._rows is not None:
            self._rows = ShardRows(self._rows.points)


def _factors(part: Embedded, spec: PointsSpec) -> list[Array]:
    """The points' factors; the two factors of a gradient are multiplied if one has a single column."""
    if spec.of == "features":
        return [part.features]
    assert part.gradient is not None  # `spec.embedding` needs it
    left_nc, right_nc = part.gradient.left, part.gradient.right
    with np.errstate(over="ignore"):  # what overflows is dropped as not finite
        return [left_nc * right_nc] if left_nc.shape[1] == 1 else [left_nc, right_nc]


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
