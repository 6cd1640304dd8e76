"""The pool's bags as points that shards hold: what a race asks, and what it drew in the bags' own units."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from negsift.common.account import Traffic
from negsift.common.errors import ServiceError
from negsift.common.types import Candidates, Picked, Round
from negsift.service.fleet.local import Fleet
from negsift.service.kmeanspp.messages import Moments
from negsift.service.kmeanspp.point_pool import LocalPool, PointPool
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.queries import AllPoints, Answer, PointQuery
from negsift.service.kmeanspp.seeding import Seeding
from negsift.service.kmeanspp.shard_rows import ShardRows
from negsift.service.points.bag_points import Grid, PointsMeasure, PointsSpec


@dataclass(frozen=True)
class PoolLayout:
    """The pool's size, and whether its bags share instances, so that these are encoded first.

    Of embeddings at most `gather_bytes` are gathered in the coordinator; points for k-means++ are if
    they take at most `held_bytes`, which saves rounds of messages and changes nothing else.
    """

    pool: int
    gather_bytes: int = 4 << 30
    held_bytes: int = 64 << 20
    share_instances: bool = False

    def of(self, round: Round) -> "PoolLayout":
        """The layout of the version of the pool that the round is for."""
        return self if round.pool_version is None else dataclasses.replace(self, pool=round.pool_version.bags)

    def require_room(self, bag_bytes: int, instead: str) -> None:
        """Raise ServiceError if the whole pool, at so many bytes a bag, may not be gathered."""
        needed = bag_bytes * self.pool
        if needed > self.gather_bytes:
            raise ServiceError(
                f"{needed / 2**20:.1f} MiB of embeddings to gather, {self.gather_bytes >> 20} allowed",
                f"raise --set fleet.gather_mb or use {instead}",
            )


class ShardPoints:
    """A race's pool on the shards; every question carries all that a restarted shard needs to answer it."""

    def __init__(self, fleet: Fleet, published: Any, wanted: PointsSpec, grid: Grid) -> None:  # Any: the fleet's
        self._fleet, self._published, self._wanted, self._grid = fleet, published, wanted, grid

    @property
    def restarts(self) -> int:
        """How often a shard had to begin anew so far."""
        repairs = self._fleet.repairs
        return repairs.retries + repairs.restarts + repairs.taken_over

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        """The answers of all shards."""
        return self._fleet.ask("rows", self._published, self._wanted, self._grid, query)


class SharedPoints:
    """All points, once they are measured."""

    def __init__(self, shards: ShardPoints, parts: Sequence[PointsMeasure], grid: Grid, layout: PoolLayout) -> None:
        self._shards, self._parts, self._grid, self._layout = shards, parts, grid, layout

    @cached_property
    def pool(self) -> PointPool:
        """Where to race: in the coordinator if the points fit there, else on the shards. The picks are the same."""
        return LocalPool(ShardRows(self.gathered)) if self._fit else self._shards

    @cached_property
    def gathered(self) -> Points:
        """All points in one place; raises ServiceError if they take more than the coordinator may gather."""
        self._layout.require_room(self._grid.point_bytes, "strategy.engine=exact")
        return Points.merge(self._shards.ask(AllPoints()))

    @property
    def square(self) -> float:
        """A squared step of the grid, in the bags' own units."""
        return self._grid.square

    @property
    def below(self) -> Moments:
        """The bags below the floor, in their own units."""
        return Moments.total(part.below for part in self._parts)

    def picked(self, spread: Seeding, left_out: float = 0.0) -> Picked:
        """The bags drawn with their squared distances in the bags' own units, and the cost of all rounds."""
        seen, dropped = sum(part.seen for part in self._parts), sum(part.dropped for part in self._parts)
        candidates = Candidates(spread.index, spread.score * self._grid.square, seen, dropped)
        return Picked(candidates, spread.filled, self._traffic(spread.traffic), left_out)

    def _traffic(self, race: Traffic) -> Traffic:
        if "gathered" not in self.__dict__:
            return Traffic(race.rounds + 1, race.passes, race.points, race.size_bytes)
        count = sum(part.count for part in self._parts)
        return Traffic(2, race.passes, count, count * self._grid.point_bytes)

    @property
    def _fit(self) -> bool:
        limit_bytes = min(self._layout.held_bytes, self._layout.gather_bytes)
        return sum(part.count for part in self._parts) * self._grid.point_bytes <= limit_bytes
