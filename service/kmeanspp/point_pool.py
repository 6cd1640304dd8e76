"""All points wherever they are: on shards elsewhere, in this process, or either with the messages counted."""

from collections.abc import Sequence
from typing import Protocol

from negsift.common.account import Traffic
from negsift.service.kmeanspp.messages import FarthestPoints, RatedPoints
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.queries import Answer, BasisQuery, PointQuery
from negsift.service.kmeanspp.shard_rows import ShardRows


class PointPool(Protocol):
    """The shards that together have all points."""

    @property
    def restarts(self) -> int:
        """How often a shard was restarted or replaced so far; its bounds may differ in rounding afterwards."""

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        """The answer of every shard, in the order of their numbers."""


class LocalPool:
    """Shards in this process."""

    restarts = 0

    def __init__(self, *shards: ShardRows) -> None:
        self._shards = shards

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        """The answer of every shard."""
        return [query.answer(shard) for shard in self._shards]


class CountedPool:
    """A pool that counts what travels: centres to every shard, and points back."""

    def __init__(self, pool: PointPool) -> None:
        self._pool = pool
        self.traffic = Traffic()

    @property
    def restarts(self) -> int:
        """How often a shard was restarted or replaced so far."""
        return self._pool.restarts

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        """The answer of every shard."""
        answers = self._pool.ask(query)
        rated = [answer.points for answer in answers if isinstance(answer, RatedPoints | FarthestPoints)]
        sent = rated + [answer for answer in answers if isinstance(answer, Points)]
        up_bytes = sum(points.size_bytes for points in sent) + 8 * sum(map(len, rated))  # a float64 each
        down_bytes = query.basis.size_bytes * len(answers) if isinstance(query, BasisQuery) else 0
        before = self.traffic
        self.traffic = Traffic(
            before.rounds + 1, before.passes + query.is_pass, before.points + sum(map(len, sent)),
            before.size_bytes + up_bytes + down_bytes,
        )  # fmt: skip
        return answers
