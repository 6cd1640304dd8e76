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

import numpy as np

from negsift.service.kmeanspp.arrival_scan import NextStep, scan_arrivals
from negsift.service.kmeanspp.arrival_times import race_key
from negsift.service.kmeanspp.known_points import KnownPoints
from negsift.service.kmeanspp.messages import EMPTY, DuePoints, RateBasis, Seeding, TimeWindow
from negsift.service.kmeanspp.point_pool import PointPool, SeedingSpec, SeedingStart
from negsift.service.kmeanspp.queries import FindArrivals, SumBounds
from negsift.service.kmeanspp.schedule import PassSchedule

_FIRST_CHUNK, _GROWTH, _SPARE, _SURPLUS = 512, 2, 64, 1.25


def d2_sample(pool: PointPool, wanted: SeedingSpec) -> Seeding:
    """`wanted.count` points of the pool by D² sampling without replacement, or all points if there are fewer."""
    start = SeedingStart.of(pool, wanted)
    if start is None:
        return EMPTY
    D2Sampler(start, wanted).run()
    return start.complete(wanted)


class D2Sampler:
    """From the first centre to the last that can be drawn."""

    def __init__(self, start: SeedingStart, wanted: SeedingSpec) -> None:
        self._books, self._moments, self._centres = start.books, start.moments, start.centres
        self._wanted, self._schedule = wanted, PassSchedule(self._moments.count, self._centres.room)
        self._checkpoint, self._radius_square = 0, np.inf

    def run(self) -> None:
        """Add centres until there are enough, or all points lie on one."""
        step = NextStep.SMALLER_RADIUS if self._centres.room > 1 else NextStep.NOTHING
        while step is not NextStep.NOTHING:
            step = self._advance() if step is NextStep.ARRIVALS else self._begin(step)

    def _begin(self, cause: NextStep) -> NextStep:
        """A checkpoint: new rates, a new key, time 0."""
        by_norm = cause is NextStep.SMALLER_RADIUS
        self._schedule.begin(self._centres.count, by_norm)
        weight = self._by_norm() if by_norm else self._by_pass()
        self._checkpoint += 1
        self._key = race_key(self._wanted.seed, self._wanted.epoch, self._checkpoint)
        self._known = KnownPoints(self._key, self._centres.since(0).narrow)
        self._weight, self._time, self._kept, self._restarts = weight, 0.0, 1.0, self._books.restarts
        return NextStep.ARRIVALS if weight > 0.0 else NextStep.NOTHING

    def _by_norm(self) -> float:
        self._radius_square = self._centres.radius_square
        radius = float(np.sqrt(self._radius_square))
        self._basis = RateBasis(self._centres.since(self._centres.count).narrow, radius)
        return self._moments.weight(radius)

    def _by_pass(self) -> float:
        self._basis = RateBasis(self._centres.since(0).narrow)
        return float(sum(self._books.ask(SumBounds(self._basis))))

    def _advance(self) -> NextStep:
        """One stretch of time: the points due in it, their arrivals, the walk."""
        high = self._time + self._expected() / self._weight
        for due in self._due_by(high):
            self._known.add(due)
        arrivals, before = self._known.until(high), self._centres.count
        step = scan_arrivals(self._known, arrivals, self._centres, self._schedule, self._radius_square)
        self._time, self._kept = high, (self._centres.count - before + 0.5) / (len(arrivals) + 0.5)
        return step

    def _due_by(self, high: float) -> Sequence[DuePoints]:
        """The points due since the last stretch; if a shard has begun anew, its bounds may differ: since time 0."""
        found: Sequence[DuePoints] = []
        if self._books.restarts == self._restarts:
            found = self._books.ask(FindArrivals(self._basis, TimeWindow(self._key, self._time, high)))
        if self._books.restarts != self._restarts:
            found = self._books.ask(FindArrivals(self._basis, TimeWindow(self._key, 0.0, high)))
        return found

    def _expected(self) -> float:
        """The arrivals to ask for: what the rest should take, but few more than up to the next checkpoint."""
        room = float(self._schedule.limits(self._centres.count, 1)[0]) - self._schedule.arrivals + _SPARE
        rest = _SURPLUS * (self._centres.room - self._centres.count) / self._kept
        if self._schedule.by_norm:
            rest = max(_FIRST_CHUNK, min(rest, _GROWTH * self._schedule.arrivals))
        return min(room, rest)
