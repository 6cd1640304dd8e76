"""All bags of a round as points: where a selection among them runs, and what it selected in the bags' own units."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from negsift.common.account import Traffic
from negsift.common.errors import ServiceError
from negsift.common.types import Candidates, Picked
from negsift.service.kmeanspp.messages import Moments
from negsift.service.kmeanspp.point_pool import LocalPool, PointPool
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.queries import AllPoints
from negsift.service.kmeanspp.seeding import Seeding
from negsift.service.kmeanspp.shard_rows import ShardRows
from negsift.service.points.grid import Grid, PointsMeasure


@dataclass(frozen=True)
class GatherLimits:
    """What the coordinator may gather: at most `gather_bytes` of embeddings.

    Points for k-means++ that take more than `held_bytes` stay on their shards. Gathering saves messages, nothing else.
    """

    gather_bytes: int = 4 << 30
    held_bytes: int = 64 << 20

    def require_room(self, needed_bytes: int, instead: str) -> None:
        """Raise ServiceError if the coordinator may not gather so many bytes; `instead` is what to use then."""
        if needed_bytes > self.gather_bytes:
            raise ServiceError(
                f"{needed_bytes / 2**20:.1f} MiB of embeddings to gather, {self.gather_bytes >> 20} allowed",
                f"raise fleet.gather_mb or use {instead}",
            )


class SharedPoints:
    """The points of all shards on one `grid`; `shards` answers queries about those that stay on their shards."""

    def __init__(self, shards: PointPool, parts: Sequence[PointsMeasure], grid: Grid, limits: GatherLimits) -> None:
        self._shards, self._parts, self._grid, self._limits = shards, parts, grid, limits

    @cached_property
    def pool(self) -> PointPool:
        """Where to select: in the coordinator if the points fit there, else on the shards, with the same picks."""
        fits = self._size_bytes <= min(self._limits.held_bytes, self._limits.gather_bytes)
        return LocalPool(ShardRows(self.gathered)) if fits else self._shards

    @cached_property
    def gathered(self) -> Points:
        """All points in one place; raises ServiceError if they take more than the coordinator may gather."""
        self._limits.require_room(self._size_bytes, "strategy.engine=exact")
        return Points.merge(self._shards.ask(AllPoints()))

    @property
    def square(self) -> float:
        """A squared step of the grid, in the bags' own units."""
        return self._grid.square

    @property
    def below(self) -> Moments:
        """The bags below the floor, in their own units."""
        return Moments.total(part.below for part in self._parts)

    def picked(self, seeding: Seeding, left_out: float = 0.0) -> Picked:
        """The selected bags with squared distances in the bags' own units, and the cost of all rounds.

        The round that measured the points is one more; gathered points are sent once, whatever the seeding asks.
        """
        seen, dropped = sum(part.seen for part in self._parts), sum(part.dropped for part in self._parts)
        candidates = Candidates(seeding.index, seeding.score * self._grid.square, seen, dropped)
        traffic = replace(seeding.traffic, rounds=seeding.traffic.rounds + 1)
        if "gathered" in self.__dict__:
            traffic = Traffic(2, traffic.passes, self._count, self._size_bytes)
        return Picked(candidates, seeding.filled, traffic, left_out)

    @property
    def _count(self) -> int:
        return sum(part.count for part in self._parts)

    @property
    def _size_bytes(self) -> int:
        return self._count * self._grid.point_bytes
