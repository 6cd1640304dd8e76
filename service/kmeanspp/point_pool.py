"""What a selection asks of all points wherever they are held, with the messages counted; its first and last picks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from negsift.common.account import Traffic
from negsift.common.arrays import Floats, Index
from negsift.common.rng import stream_key, uniform_keys
from negsift.service.kmeanspp.arrival_scan import Centres
from negsift.service.kmeanspp.messages import DuePoints, FarthestPoints, Moments, PointsSummary, Seeding
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.queries import Answer, BasisQuery, PointQuery, SmallestHashes, Summarize
from negsift.service.kmeanspp.shard_rows import ShardRows


class PointPool(Protocol):
    """All points, wherever they are held."""

    @property
    def restarts(self) -> int:
        """How often a shard had to begin anew so far."""

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        """The answers of all shards, in the order of their numbers."""


class LocalPool:
    """A pool whose points are all in this process, in one or several shards."""

    restarts = 0

    def __init__(self, *shards: ShardRows) -> None:
        self._shards = shards

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        """The answers of all shards."""
        return [query.answer(shard) for shard in self._shards]


@dataclass(frozen=True)
class SeedingSpec:
    """So many centres; the first is the longest point, or, if `random_first`, any with equal chances."""

    count: int
    seed: int
    epoch: int
    random_first: bool = False


class CountedPool:
    """Asks the pool, and counts."""

    def __init__(self, pool: PointPool) -> None:
        self._pool = pool
        self.traffic = Traffic()

    @property
    def restarts(self) -> int:
        """How often a shard had to begin anew so far."""
        return self._pool.restarts

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        """The answers of all shards."""
        answers = self._pool.ask(query)
        down = query.basis.centres.size_bytes * len(answers) if isinstance(query, BasisQuery) else 0
        sent = [answer.points for answer in answers if isinstance(answer, DuePoints | FarthestPoints)]
        t, passes = self.traffic, int(query.is_pass)
        up, points = sum(part.size_bytes + 8 * len(part) for part in sent), sum(map(len, sent))
        self.traffic = Traffic(t.rounds + 1, t.passes + passes, t.points + points, t.size_bytes + up + down)
        return answers


@dataclass(frozen=True)
class SeedingStart:
    """A selection before its second pick: the counted pool, what its points are in all, and room for all centres."""

    books: CountedPool
    moments: Moments
    centres: Centres

    @classmethod
    def of(cls, pool: PointPool, wanted: SeedingSpec) -> "SeedingStart | None":
        """The first centre chosen; None if there is nothing to choose."""
        books = CountedPool(pool)
        key = stream_key(wanted.seed, "badge-first", wanted.epoch) if wanted.random_first else None
        summaries: list[PointsSummary] = [found for found in books.ask(Summarize(key)) if found.moments.count]
        moments = Moments.total(found.moments for found in summaries)
        count = min(wanted.count, moments.count)
        return cls(books, moments, Centres(_first(summaries, key), count)) if count else None

    def complete(self, wanted: SeedingSpec) -> Seeding:
        """All that were chosen, and what is missing in the order of a hash."""
        centres, left = self.centres, _fill(self.books, wanted, self.centres)
        index = np.concatenate([centres.index[: centres.count], left])
        return Seeding(index, centres.scores, len(left), self.books.traffic, centres.since(0).narrow)


def _first(summaries: Sequence[PointsSummary], key: int | None) -> Points:
    """The longest of the shards' best points, or the one of the smallest hash; ties by index."""
    best = Points.merge([found.best for found in summaries])
    order: Floats = -best.squares if key is None else uniform_keys(key, best.index)
    return best.take(np.lexsort((best.index, order))[:1])


def _fill(books: CountedPool, wanted: SeedingSpec, centres: Centres) -> Index:
    """What is missing, in the order of a hash of (seed, epoch, index)."""
    missing = centres.room - centres.count
    if not missing:
        return np.zeros(0, dtype=np.int64)
    key = stream_key(wanted.seed, "badge-fill", wanted.epoch)
    index = np.concatenate(books.ask(SmallestHashes(key, centres.room)))
    free = np.setdiff1d(index, centres.index[: centres.count])
    return free[np.lexsort((free, uniform_keys(key, free)))][:missing]
