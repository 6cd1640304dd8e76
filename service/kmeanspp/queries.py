"""The questions that seeding asks of every shard: one dataclass each, generic in the type of its answer.

A question carries everything that its answer depends on, so a shard that was restarted, or that serves several
selections in turn, answers it as any other would. Everything is in squared steps.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from negsift.common.arrays import Index
from negsift.service.kmeanspp.messages import FarthestPoints, PointsSummary, RateBasis, RatedPoints, TimeWindow
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.shard_rows import ShardRows
from negsift.service.kmeanspp.sketch import Directions

Answer = TypeVar("Answer", covariant=True)

_MOST_ROWS = 1 << 16  # whose exact D² are computed at a time


class PointQuery(ABC, Generic[Answer]):
    """A question that every shard answers from its own points."""

    @property
    def is_pass(self) -> bool:
        """Whether shards compare all their points with the centres added since the last pass."""
        return False

    @abstractmethod
    def answer(self, rows: ShardRows) -> Answer:
        """The answer of one shard."""


@dataclass(frozen=True)
class BasisQuery(PointQuery[Answer]):
    """A question about rates, which carries the centres that they are computed from."""

    basis: RateBasis


@dataclass(frozen=True)
class PassQuery(BasisQuery[Answer]):
    """A question about the rates of all points."""

    @property
    def is_pass(self) -> bool:
        """Sketches are no pass."""
        return self.basis.directions is None


@dataclass(frozen=True)
class AllPoints(PointQuery[Points]):
    """All points of the shard, sorted by index."""

    def answer(self, rows: ShardRows) -> Points:
        """They themselves, not a copy."""
        return rows.points


@dataclass(frozen=True)
class SampleByHash(PointQuery[Points]):
    """The `count` points with the smallest hashes under `key`."""

    key: int
    count: int

    def answer(self, rows: ShardRows) -> Points:
        """At most `count` points, in the order of the hash."""
        return rows.points.take(rows.by_hash(self.key, self.count)).as_float32()


@dataclass(frozen=True)
class Summarize(PointQuery[PointsSummary]):
    """The number of points, and the candidate for the first centre: the longest or, with a key, of the smallest hash.

    Squared norms take a read of all points, which also gives sketches along `directions`.
    """

    first_key: int | None
    directions: Directions | None = None

    def answer(self, rows: ShardRows) -> PointsSummary:
        """One summary; it has no candidate where the shard has no point."""
        if self.directions is not None:
            rows.look_along(self.directions)
        row = rows.longest() if self.first_key is None else rows.by_hash(self.first_key, 1)
        return PointsSummary(len(rows.points), rows.points.take(row))


@dataclass(frozen=True)
class SumBounds(PassQuery[float]):
    """The sum of the D² bounds, which are the rates or a little above them."""

    def answer(self, rows: ShardRows) -> float:
        """Zero if and only if every point lies on a centre."""
        rows.lower_bounds(self.basis)
        return rows.backend.sum_bounds()


@dataclass(frozen=True)
class FindArrivals(BasisQuery[RatedPoints]):
    """The points whose first arrival is in a window of time."""

    window: TimeWindow

    def answer(self, rows: ShardRows) -> RatedPoints:
        """These points and few others, with their exact rates."""
        rows.lower_bounds(self.basis)
        arriving = rows.backend.arriving(self.window)
        return RatedPoints(rows.points.take(arriving), rows.rates_of(arriving, self.basis))


@dataclass(frozen=True)
class FindFarthest(PassQuery[FarthestPoints]):
    """The `count` points of the largest D² bounds."""

    count: int

    def answer(self, rows: ShardRows) -> FarthestPoints:
        """These points with their exact D², and the largest bound of the others."""
        rows.lower_bounds(self.basis)
        largest, bound_of_others = rows.backend.largest(self.count)
        return FarthestPoints(rows.points.take(largest), rows.gaps_of(largest), bound_of_others)


@dataclass(frozen=True)
class SumSquares(PassQuery[float]):
    """Σ D², the k-means potential of the centres."""

    def answer(self, rows: ShardRows) -> float:
        """The sum over the shard's points."""
        rows.lower_bounds(self.basis)
        everything = np.arange(len(rows.points), dtype=np.int64)
        parts = np.array_split(everything, 1 + len(everything) // _MOST_ROWS)
        return float(sum(rows.gaps_of(part).sum() for part in parts))


@dataclass(frozen=True)
class SmallestHashes(PointQuery[Index]):
    """The positions of the `count` points with the smallest hashes under `key`."""

    key: int
    count: int

    def answer(self, rows: ShardRows) -> Index:
        """At most `count` positions, in the order of the hash."""
        return rows.points.index[rows.by_hash(self.key, self.count)]
