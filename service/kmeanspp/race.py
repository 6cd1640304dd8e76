"""Exact k-means++ seeding (D² sampling) in a handful of rounds, on any number of shards.

Every point arrives at the times of a Poisson process whose rate is at least its D²; arrivals are
visited in order of time, and one of point i is kept with probability D²_i/rate_i. Competing
exponentials with thinning: the next centre is point i with probability D²_i/ΣD², exactly, however
stale the rates are (Lewis and Shedler 1979 on thinning; rejection-sampled k-means++ of Cohen-Addad
et al., NeurIPS 2020, rests on the same bound). So distances are needed for points that arrive, not
for all points once a centre. Rates come from norms at first, from a pass over the pool later on;
`schedule` says when. Times are hashed from (seed, epoch, checkpoint, position), so the picks are a
function of the points alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from common.rng import stream_key, uniform_keys
from common.types import Floats, Index, Traffic
from service.kmeanspp.clock import race_key
from service.kmeanspp.known import Known
from service.kmeanspp.messages import Due, Spread, Standing, Summary, Window
from service.kmeanspp.points import Points
from service.kmeanspp.schedule import Schedule
from service.kmeanspp.walk import Centres, Next, walk

_FIRST_CHUNK, _SPARE, _SURPLUS = 512, 64, 1.25


class Pool(Protocol):
    """All points, wherever they are held."""

    @property
    def restarts(self) -> int:
        """How often a shard had to begin anew so far."""

    def ask(self, method: str, *args: Any) -> Sequence[Any]:  # Any: the method's
        """`Rows.method(*args)` of every shard."""


@dataclass(frozen=True)
class Wanted:
    """So many centres; the first is the longest point, or, if `random_first`, any with equal chances."""

    count: int
    seed: int
    epoch: int
    random_first: bool = False


def spread_out(pool: Pool, wanted: Wanted) -> Spread:
    """`wanted.count` points of the pool by D² sampling without replacement, or all points if there are fewer."""
    books = Books(pool)
    key = stream_key(wanted.seed, "badge-first", wanted.epoch) if wanted.random_first else None
    summaries: list[Summary] = [found for found in books.ask("summary", key) if found.count]
    count = min(wanted.count, sum(found.count for found in summaries))
    if not count:
        return Spread(np.zeros(0, dtype=np.int64), np.zeros(0), 0, books.traffic)
    centres = Centres(_first(summaries, key), count)
    Race(books, wanted, summaries, centres).run()
    left = _fill(books, wanted, centres)
    return Spread(np.concatenate([centres.index[: centres.count], left]), centres.scores, len(left), books.traffic)


class Books:
    """Asks the pool, and counts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.traffic = Traffic()

    @property
    def restarts(self) -> int:
        """How often a shard had to begin anew so far."""
        return self._pool.restarts

    def ask(self, method: str, *args: Any) -> Sequence[Any]:  # Any: the method's
        """`Rows.method(*args)` of every shard."""
        answers = self._pool.ask(method, *args)
        down = sum(arg.centres.size_bytes for arg in args if isinstance(arg, Standing)) * len(answers)
        sent = [answer.points for answer in answers if isinstance(answer, Due)]
        t, passes = self.traffic, int(method == "weigh")
        up, points = sum(part.size_bytes + 8 * len(part) for part in sent), sum(map(len, sent))
        self.traffic = Traffic(t.rounds + 1, t.passes + passes, t.points + points, t.size_bytes + up + down)
        return answers


class Race:
    """From the first centre to the last that can be drawn."""

    def __init__(self, books: Books, wanted: Wanted, summaries: Sequence[Summary], centres: Centres) -> None:
        self._books, self._wanted, self._summaries, self._centres = books, wanted, summaries, centres
        self._schedule = Schedule(sum(found.count for found in summaries), centres.room)
        self._checkpoint = 0

    def run(self) -> None:
        """Add centres until there are enough, or all points lie on one."""
        step = Next.SMALLER_RADIUS if self._centres.room > 1 else Next.NOTHING
        while step is not Next.NOTHING:
            step = self._advance() if step is Next.ARRIVALS else self._begin(step)

    def _begin(self, cause: Next) -> Next:
        """A checkpoint: new rates, a new key, time 0."""
        by_norm = cause is Next.SMALLER_RADIUS
        self._schedule.begin(self._centres.count, by_norm)
        weight = self._by_norm() if by_norm else self._by_pass()
        self._checkpoint += 1
        self._key = race_key(self._wanted.seed, self._wanted.epoch, self._checkpoint)
        self._known = Known(self._key, self._centres.since(0).narrow)
        self._weight, self._time, self._kept, self._restarts = weight, 0.0, 1.0, self._books.restarts
        return Next.ARRIVALS if weight > 0.0 else Next.NOTHING

    def _by_norm(self) -> float:
        radius = float(np.sqrt(self._centres.radius_square))
        self._standing = Standing(self._centres.since(self._centres.count).narrow, radius)
        return sum(found.weight(radius) for found in self._summaries)

    def _by_pass(self) -> float:
        self._standing = Standing(self._centres.since(0).narrow)
        return float(sum(self._books.ask("weigh", self._standing)))

    def _advance(self) -> Next:
        """One stretch of time: the points due in it, their arrivals, the walk."""
        high = self._time + self._expected() / self._weight
        low = self._time if self._books.restarts == self._restarts else 0.0  # its bounds may differ from before
        for due in self._books.ask("arrivals", self._standing, Window(self._key, low, high)):
            self._known.add(due)
        arrivals, before = self._known.until(high), self._centres.count
        step = walk(self._known, arrivals, self._centres, self._schedule)
        self._time, self._kept = high, (self._centres.count - before + 0.5) / (len(arrivals) + 0.5)
        return step

    def _expected(self) -> float:
        """The arrivals to ask for: what the rest should take, but few more than up to the next checkpoint."""
        room = self._schedule.limit(self._centres.count) - self._schedule.arrivals + _SPARE
        rest = _SURPLUS * (self._centres.room - self._centres.count) / self._kept
        return min(room, _FIRST_CHUNK if self._schedule.by_norm else rest)


def _first(summaries: Sequence[Summary], key: int | None) -> Points:
    """The longest of the shards' best points, or the one of the smallest hash; ties by index."""
    best = Points.merge([found.best for found in summaries])
    order: Floats = -best.squares if key is None else uniform_keys(key, best.index)
    return best.take(np.lexsort((best.index, order))[:1])


def _fill(books: Books, wanted: Wanted, centres: Centres) -> Index:
    """What is missing, in the order of a hash of (seed, epoch, index)."""
    missing = centres.room - centres.count
    if not missing:
        return np.zeros(0, dtype=np.int64)
    key = stream_key(wanted.seed, "badge-fill", wanted.epoch)
    index = np.concatenate(books.ask("unordered", key, centres.room))
    free = np.setdiff1d(index, centres.index[: centres.count])
    return free[np.lexsort((free, uniform_keys(key, free)))][:missing]
