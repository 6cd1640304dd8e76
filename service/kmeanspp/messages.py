"""What the race's two sides say to each other."""

from dataclasses import dataclass

from common.types import Floats, Index, Traffic
from service.kmeanspp.points import Points


@dataclass(frozen=True)
class Standing:
    """What rates are taken from: (|u| + radius)² while `radius` is given, else D² to the `centres`."""

    centres: Points
    radius: float | None = None


@dataclass(frozen=True)
class Due:
    """Points with the rates at which they arrive, in squared steps, (n,); the same bits on any shard."""

    points: Points
    rate: Floats


@dataclass(frozen=True)
class Window:
    """A stretch of time in the race of `key`; `low` 0 means from the beginning."""

    key: int
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """What a shard's points are, in all: `best` is its first centre, or nothing where it has no point."""

    count: int
    norm_sum: float
    square_sum: float
    best: Points

    def weight(self, radius: float) -> float:
        """Σ (|u| + radius)²."""
        return self.square_sum + 2.0 * radius * self.norm_sum + radius**2 * self.count


@dataclass(frozen=True)
class Spread:
    """Positions in the order drawn, (k,), and their squared distances to those before, in squared steps.

    The first one's is its squared norm. The last `filled` were drawn when all points left lay on centres.
    """

    index: Index
    score: Floats
    filled: int
    traffic: Traffic
