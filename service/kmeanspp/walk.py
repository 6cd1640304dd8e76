"""The coordinator's walk over arrivals in order of time, each kept with probability D²/rate.

A block of arrivals is compared with the centres so far in one matrix product; those that are thinned
out already are dropped, the others are visited one by one. Axes: b arrivals, m of them left.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.types import Floats, Index
from service.kmeanspp.known import Arrivals, Known
from service.kmeanspp.nearest import ByNorm, nearest
from service.kmeanspp.points import Points, squared_gaps
from service.kmeanspp.schedule import Schedule

_LEAST_BLOCK, _LARGEST_BLOCK, _FOUND = 96, 1024, 8
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


def walk(known: Known, arrivals: Arrivals, centres: Centres, schedule: Schedule, radius_square: float) -> Next:
    """Visit arrivals until the centres are complete or a checkpoint is due.

    While rates come from norms, that is when a centre is much shorter than √`radius_square`, on which they rest.
    """
    count, visited, earlier = centres.count, 0, ByNorm(centres.since(schedule.start))
    while visited < len(arrivals):
        apart = (visited + 1) // (centres.count - count + 1)
        size = min(max(_LEAST_BLOCK, centres.count // 4, _FOUND * apart), _LARGEST_BLOCK)
        block = arrivals.take(slice(visited, visited + size))
        points, rate = known.points.take(block.row), known.rate[block.row]
        distance = nearest(points, earlier, None if schedule.by_norm else rate)
        distance = nearest(points, ByNorm(centres.since(count)), distance)
        left = np.flatnonzero(block.mark * rate < distance)
        rest = _Block(points.take(left), left, (block.mark * rate)[left], distance[left], len(block))
        step = _visit(rest, centres, schedule, radius_square)
        if step is not Next.ARRIVALS:
            return step
        visited += size
    return Next.PASS if schedule.arrivals >= schedule.limit(centres.count) else Next.ARRIVALS


@dataclass(frozen=True)
class _Block:
    """What is left of `count` arrivals: points, their places among them, and what D² must exceed, and D², (m,)."""

    points: Points
    place: Index
    threshold: Floats
    distance: Floats
    count: int


def _visit(block: _Block, centres: Centres, schedule: Schedule, radius_square: float) -> Next:
    """One by one: each centre found lowers the distances of those after it."""
    kept, scores, gaps = [], [], squared_gaps(block.points, block.points)
    before, step, threshold = schedule.arrivals, Next.ARRIVALS, block.threshold.tolist()
    limit = schedule.limit(centres.count)
    for at, place in enumerate(block.place.tolist()):
        if before + place >= limit:
            step = Next.PASS
            break
        score = float(block.distance[at])
        if threshold[at] >= score:
            continue
        kept.append(at)
        scores.append(score)
        schedule.arrivals = before + place + 1
        count, much_smaller = centres.count + len(kept), float(block.points.squares[at]) * _REBASE < radius_square
        step = _after(count, centres.room, schedule, much_smaller)
        if step is not Next.ARRIVALS:
            break
        np.minimum(block.distance, gaps[at], out=block.distance)
        limit = schedule.limit(count)
    if kept:
        centres.add(block.points.take(np.array(kept)), scores)
    if step is Next.ARRIVALS:
        schedule.arrivals = before + block.count
    return step


def _after(count: int, room: int, schedule: Schedule, much_smaller: bool) -> Next:
    if count == room:
        return Next.NOTHING
    if schedule.due_after(count, schedule.arrivals):
        return Next.PASS
    return Next.SMALLER_RADIUS if schedule.by_norm and much_smaller else Next.ARRIVALS
