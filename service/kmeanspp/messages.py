"""The parts of questions to the shards, and of their answers. Axes: n points."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Array, Floats
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.sketch import Directions


@dataclass(frozen=True)
class RateBasis:
    """What the points' arrival rates are computed from.

    Without `directions` a rate is D², the squared distance to the nearest of the `centres`; with them it is the
    bound on D² that sketches along these directions give.
    """

    centres: Points
    directions: Directions | None = None

    @property
    def size_bytes(self) -> int:
        """The size on the wire."""
        return self.centres.size_bytes + (self.directions.size_bytes if self.directions else 0)


@dataclass(frozen=True)
class TimeWindow:
    """Times after `start` (0: from the beginning) and up to `end` in the phase whose hash key is `key`."""

    key: int
    start: float
    end: float


@dataclass(frozen=True)
class RatedPoints:
    """Points with their arrival rates in squared steps, (n,); the same bits from any shard."""

    points: Points
    rate: Floats


@dataclass(frozen=True)
class FarthestPoints:
    """A shard's points of the largest D² bounds with their exact D² in squared steps, (n,).

    No other point of the shard has a D² above `bound_of_others`.
    """

    points: Points
    gap: Floats
    bound_of_others: float


@dataclass(frozen=True)
class Moments:
    """The number of points, the sum of their norms, and the sum of their squared norms."""

    count: int
    norm_sum: float
    square_sum: float

    @classmethod
    def of(cls, squares_n: Array) -> "Moments":
        """Those of points with these squared norms."""
        norms_n = np.sqrt(squares_n)
        return cls(len(squares_n), float(norms_n.sum(dtype=np.float64)), float(squares_n.sum(dtype=np.float64)))

    @classmethod
    def total(cls, parts: Iterable["Moments"]) -> "Moments":
        """Those of all parts together."""
        counts, norms, squares = zip((0, 0.0, 0.0), *((p.count, p.norm_sum, p.square_sum) for p in parts), strict=True)
        return cls(sum(counts), sum(norms), sum(squares))

    def total_rate(self, radius: float) -> float:
        """Σ (|u| + radius)²."""
        return self.square_sum + 2.0 * radius * self.norm_sum + radius**2 * self.count


@dataclass(frozen=True)
class PointsSummary:
    """A shard's number of points and its candidate for the first centre: one point, or none where it has none."""

    count: int
    candidate: Points
