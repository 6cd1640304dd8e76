"""The coordinator's walk over arrivals in order of time, each kept with probability D²/rate.

A block of arrivals is compared with the centres so far in one matrix product; those that are thinned
out already are dropped, the others are visited one by one. Axes: b arrivals, m of them left.
"""

import enum
from collections.abc import Sequence

import numpy as np

from common.types import Floats
from service.kmeanspp.known import Arrivals, Known
from service.kmeanspp.points import Points, inner_products, nearest
from service.kmeanspp.schedule import Schedule

_LEAST_BLOCK, _LARGEST_BLOCK = 96, 1024
_REBASE = 1.5**2


class Next(enum.Enum):
    """What has to happen before the walk can go on."""

    ARRIVALS = enum.auto()
    PASS = enum.auto()
    SMALLER_RADIUS = enum.auto()
    NOTHING = enum.auto()


class Centres:
    """The centres chosen so far, with room for all that are wanted."""

    def __init__(self, first: Points, room: int) -> None:
        self.index = np.zeros(room, dtype=np.int64)
        self.scores = np.zeros(room)
        self._factors = tuple(np.zeros((room, factor.shape[1])) for factor in first.factors)
        self.count, self.room = 0, room
        self.radius_square = np.inf
        self.add(first, first.squares)

    def add(self, points: Points, scores: Sequence[float] | Floats) -> None:
        """Append points with their squared distances to the centres before them."""
        run = slice(self.count, self.count + len(points))
        self.index[run], self.scores[run] = points.index, scores
        for mine, theirs in zip(self._factors, points.factors, strict=True):
            mine[run] = theirs
        self.count += len(points)
        self.radius_square = min(self.radius_square, float(points.squares.min()))

    def since(self, start: int) -> Points:
        """Those from the `start`-th on."""
        run = slice(start, self.count)
        return Points(self.index[run], tuple(factor[run] for factor in self._factors))


def walk(known: Known, arrivals: Arrivals, centres: Centres, schedule: Schedule) -> Next:
    """Visit arrivals until the centres are complete or a checkpoint is due."""
    radius_square, start = centres.radius_square, 0
    while start < len(arrivals):
        size = min(max(_LEAST_BLOCK, centres.count // 4), _LARGEST_BLOCK)
        block = arrivals.take(slice(start, start + size))
        step = _Visit(known, block, centres, schedule).run(radius_square)
        if step is not Next.ARRIVALS:
            return step
        start += size
    return Next.PASS if schedule.arrivals >= schedule.limit(centres.count) else Next.ARRIVALS


class _Visit:
    """One block."""

    def __init__(self, known: Known, block: Arrivals, centres: Centres, schedule: Schedule) -> None:
        points, rate = known.points.take(block.row), known.rate[block.row]
        threshold, distance = block.mark * rate, nearest(points, centres.since(schedule.start))
        if not schedule.by_norm:
            distance = np.minimum(distance, rate)
        self._left = np.flatnonzero(threshold < distance)
        self._points = points.take(self._left)
        self._threshold, self._distance = threshold[self._left], distance[self._left]
        self._count, self._centres, self._schedule = len(block), centres, schedule

    def run(self, radius_square: float) -> Next:
        """Visit what is left of the block."""
        before, gaps = self._schedule.arrivals, _gaps(self._points)
        for at, place in enumerate(self._left.tolist()):
            if before + place >= self._schedule.limit(self._centres.count):
                return Next.PASS
            if self._threshold[at] >= self._distance[at]:
                continue
            step = self._accept(at, before + place + 1, radius_square)
            if step is not Next.ARRIVALS:
                return step
            np.minimum(self._distance, gaps[at], out=self._distance)
        self._schedule.arrivals = before + self._count
        return Next.ARRIVALS

    def _accept(self, at: int, arrivals: int, radius_square: float) -> Next:
        point, centres = self._points.take(slice(at, at + 1)), self._centres
        centres.add(point, self._distance[at : at + 1])
        self._schedule.arrivals = arrivals
        if centres.count == centres.room:
            return Next.NOTHING
        if self._schedule.due_after(centres.count, arrivals):
            return Next.PASS
        smaller = centres.radius_square * _REBASE < radius_square
        return Next.SMALLER_RADIUS if self._schedule.by_norm and smaller else Next.ARRIVALS


def _gaps(points: Points) -> Floats:
    """Squared distances between all pairs, (m, m), formed as `nearest` does."""
    gaps = -2.0 * inner_products(points.exact, points.exact)
    gaps += points.squares[:, None]
    gaps += points.squares
    return np.maximum(gaps, 0.0, out=gaps)
