"""The grid of all shards' points, made from what each shard measures of its own. Axes: c columns of a factor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Floats
from negsift.service.kmeanspp.messages import Moments
from negsift.service.kmeanspp.points import grid_exponent

_FAR = 16  # spreads from 0: nearer features lose at most 4 of a grid's 20 bits, and stay where they are


@dataclass(frozen=True)
class Extent:
    """The least and the largest entry of every column of a factor, (c,); infinities where there is no point."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def columns(self) -> int:
        """The number of columns."""
        return len(self.low)


@dataclass(frozen=True)
class PointsMeasure:
    """A shard's points before the grid is known, from which the grid is made.

    The numbers of bags seen, of bags dropped as not finite, and of points; the extent of each factor (none where the
    shard has no bag); and the moments of the bags below the floor.
    """

    seen: int
    dropped: int
    count: int
    extents: tuple[Extent, ...]
    below: Moments


@dataclass(frozen=True)
class Grid:
    """The grid of all shards' points: a step is 2^exponent. One exponent and the columns of each factor.

    The `origin` is taken from the only factor's columns first, (c,); where it is empty, nothing is.
    """

    exponents: tuple[int, ...]
    columns: tuple[int, ...]
    origin: tuple[float, ...] = ()

    @classmethod
    def over(cls, parts: Sequence[PointsMeasure], movable: bool = False) -> "Grid":
        """The grid for the points of all shards.

        Points are `movable` if only their distances count: those that lie far from 0 and near one another are moved to
        it, since a grid of 20 bits for the largest entry would not tell them apart.
        """
        known = [part for part in parts if part.extents]
        if not known:
            return cls((0,), (1,))
        columns = tuple(extent.columns for extent in known[0].extents)
        bounds = [_bounds([part.extents[factor] for part in known]) for factor in range(len(columns))]
        if not any(part.count for part in known):
            return cls((0,) * len(columns), columns)
        origin = _origin(*bounds[0]) if movable else np.zeros(0)
        bounds = [(low_c - origin, high_c - origin) for low_c, high_c in bounds] if len(origin) else bounds
        largest = [float(max(-low_c.min(), high_c.max(), 0.0)) for low_c, high_c in bounds]
        return cls(tuple(map(grid_exponent, largest, columns)), columns, tuple(origin.tolist()))

    @property
    def square(self) -> float:
        """A squared step in the points' own units."""
        return math.ldexp(1.0, 2 * sum(self.exponents))

    @property
    def point_bytes(self) -> int:
        """The size of a point: its numbers and its position."""
        return 4 * sum(self.columns) + 8


def _bounds(extents: Sequence[Extent]) -> tuple[Floats, Floats]:
    """The least and the largest entry of every column over all shards."""
    return np.min([extent.low for extent in extents], axis=0), np.max([extent.high for extent in extents], axis=0)


def _origin(low_c: Floats, high_c: Floats) -> Floats:
    """The middle of every column in whole multiples of the largest spread, (c,), or () where 0 is near enough."""
    spread = float((high_c - low_c).max(initial=0.0))
    unit = math.ldexp(1.0, math.frexp(spread)[1])
    if not 0.0 < _FAR * unit < float(np.maximum(np.abs(low_c), np.abs(high_c)).max(initial=0.0)):
        return np.zeros(0)
    origin: Floats = unit * np.rint((low_c + high_c) / (2.0 * unit))
    return origin
