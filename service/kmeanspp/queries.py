"""The questions that seeding asks of every shard's points: one dataclass each, generic in the type of its answer.

A question carries everything that its answer depends on, so a shard that was restarted, or that serves
several selections in turn, answers it correctly.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from negsift.common.arrays import Index
from negsift.service.kmeanspp.messages import DuePoints, FarthestPoints, PointsSummary, RateBasis, TimeWindow
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.shard_rows import ShardRows

Answer = TypeVar("Answer", covariant=True)


class PointQuery(ABC, Generic[Answer]):
    """A question that every shard answers from its own points."""

    is_pass: ClassVar[bool] = False
    """Whether it is asked in order to compare every point of the pool with new centres."""

    @abstractmethod
    def answer(self, rows: ShardRows) -> Answer:
        """The answer of one shard."""


@dataclass(frozen=True)
class BasisQuery(PointQuery[Answer]):
    """A question about rates, together with the centres that these are computed from."""

    basis: RateBasis


@dataclass(frozen=True)
class AllPoints(PointQuery[Points]):
    """All points of the shard."""

    def answer(self, rows: ShardRows) -> Points:
        """The points in the order of their index."""
        return rows.points


@dataclass(frozen=True)
class Summarize(PointQuery[PointsSummary]):
    """Counts and sums over the shard's points, and its candidate for the first centre.

    That is the longest point or, with a `first_key`, the point of the smallest hash.
    """

    first_key: int | None

    def answer(self, rows: ShardRows) -> PointsSummary:
        """One summary; its candidate is empty where the shard has no point."""
        return rows.summarize(self.first_key)


@dataclass(frozen=True)
class SumBounds(BasisQuery[float]):
    """The sum of the points' D² bounds, which are their rates."""

    is_pass = True

    def answer(self, rows: ShardRows) -> float:
        """In squared steps; zero if and only if every point lies on a centre."""
        return rows.sum_bounds(self.basis)


@dataclass(frozen=True)
class FindArrivals(BasisQuery[DuePoints]):
    """The points whose first arrival may lie in a time window."""

    window: TimeWindow

    def answer(self, rows: ShardRows) -> DuePoints:
        """Those points and few others, with their exact rates."""
        return rows.find_arrivals(self.basis, self.window)


@dataclass(frozen=True)
class FindFarthest(BasisQuery[FarthestPoints]):
    """The `count` points of the largest D² bounds."""

    count: int
    is_pass = True

    def answer(self, rows: ShardRows) -> FarthestPoints:
        """Those points with their exact D², and the largest bound among the others."""
        return rows.find_farthest(self.basis, self.count)


@dataclass(frozen=True)
class SumSquares(BasisQuery[float]):
    """The sum of the points' D², which k-means calls the potential."""

    is_pass = True

    def answer(self, rows: ShardRows) -> float:
        """In squared steps, exact up to the rounding of the sum."""
        return rows.sum_squares(self.basis)


@dataclass(frozen=True)
class SmallestHashes(PointQuery[Index]):
    """The positions of the `count` points with the smallest hashes under `key`."""

    key: int
    count: int

    def answer(self, rows: ShardRows) -> Index:
        """At most `count` positions in the order of the hash; fewer where the shard has fewer points."""
        return rows.smallest_hashes(self.key, self.count)
