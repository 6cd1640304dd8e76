"""What the race's two sides say to each other."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from negsift.common.account import Traffic
from negsift.common.arrays import Array, Floats, Index
from negsift.service.kmeanspp.points import Points


@dataclass(frozen=True)
class RateBasis:
    """What rates are taken from: (|u| + radius)² while `radius` is given, else D² to the `centres`."""

    centres: Points
    radius: float | None = None


@dataclass(frozen=True)
class DuePoints:
    """Points with the rates at which they arrive, in squared steps, (n,); the same bits on any shard."""

    points: Points
    rate: Floats


@dataclass(frozen=True)
class TimeWindow:
    """A stretch of time in the race of `key`; `low` 0 means from the beginning."""

    key: int
    low: float
    high: float


@dataclass(frozen=True)
class FarthestPoints:
    """A shard's points of the largest bounds, with their D² in squared steps, and the largest bound of the others."""

    points: Points
    square: Floats
    rest: float


@dataclass(frozen=True)
class Moments:
    """How many points, the sum of their norms, and that of their squared norms."""

    count: int
    norm_sum: float
    square_sum: float

    @classmethod
    def of(cls, squares: Array) -> "Moments":
        """Those of points with these squared norms, (n,)."""
        norms = np.sqrt(squares)
        return cls(len(squares), float(norms.sum(dtype=np.float64)), float(squares.sum(dtype=np.float64)))

    @classmethod
    def total(cls, parts: Iterable["Moments"]) -> "Moments":
        """Those of all parts together."""
        counts, norms, squares = zip((0, 0.0, 0.0), *((p.count, p.norm_sum, p.square_sum) for p in parts), strict=True)
        return cls(sum(counts), sum(norms), sum(squares))

    def weight(self, radius: float) -> float:
        """Σ (|u| + radius)²."""
        return self.square_sum + 2.0 * radius * self.norm_sum + radius**2 * self.count


@dataclass(frozen=True)
class PointsSummary:
    """What a shard's points are, in all: `best` is its first centre, or nothing where it has no point."""

    moments: Moments
    best: Points


@dataclass(frozen=True)
class Seeding:
    """Positions in the order drawn, (k,), and their squared distances to those before, in squared steps.

    The first one's is its squared norm. The last `filled` were drawn when all points left lay on `centres`,
    the points of those before, in order (not all engines say).
    """

    index: Index
    score: Floats
    filled: int
    traffic: Traffic = field(default_factory=Traffic)
    centres: Points | None = None


EMPTY = Seeding(np.zeros(0, dtype=np.int64), np.zeros(0), 0)
