"""The coordinator's walk over arrivals in order of time, each kept with probability D²/rate.

A block of arrivals is compared with the centres so far in one matrix product; those that are thinned
out already are dropped, the others are visited one by one. Axes: b arrivals, m of them left.
"""

import enum
from collections.abc import Sequence

import numpy as np

from negsift.common.arrays import Floats
from negsift.service.kmeanspp.known_points import Arrivals, KnownPoints
from negsift.service.kmeanspp.nearest import CentresByNorm, nearest
from negsift.service.kmeanspp.points import Points, squared_gaps
from negsift.service.kmeanspp.schedule import PassSchedule
from negsift.service.kmeanspp.thinning import ArrivalBlock, thinning_for

_LEAST_BLOCK, _LARGEST_BLOCK, _FOUND = 96, 1024, 8
_REBASE = 1.5**2


class NextStep(enum.Enum):
    """What has to happen before the walk can go on."""

    ARRIVALS = enum.auto()
    PASS = enum.auto()
    SMALLER_RADIUS = enum.auto()
    NOTHING = enum.auto()


class Centres:
    """The centres chosen so far, with room for all that are wanted."""

    def __init__(self, first: Points, room: int) -> None:
        self.index = np.zeros(room, dtype=np.int64)
        self.scores, self._squares = np.zeros(room), np.zeros(room)
        self._factors = tuple(np.zeros((room, factor.shape[1])) for factor in first.factors)
        self.count, self.room = 0, room
        self.radius_square = np.inf
        self.add(first, first.squares)

    def add(self, points: Points, scores: Sequence[float] | Floats) -> None:
        """Append points with their squared distances to the centres before them."""
        run = slice(self.count, self.count + len(points))
        self.index[run], self.scores[run], self._squares[run] = points.index, scores, points.squares
        for mine, theirs in zip(self._factors, points.factors, strict=True):
            mine[run] = theirs
        self.count += len(points)
        self.radius_square = min(self.radius_square, float(points.squares.min()))

    def since(self, start: int) -> Points:
        """Those from the `start`-th on."""
        run = slice(start, self.count)
        points = Points(self.index[run], tuple(factor[run] for factor in self._factors))
        return points.knowing(self._squares[run])


def scan_arrivals(
    known: KnownPoints, arrivals: Arrivals, centres: Centres, schedule: PassSchedule, radius_square: float
) -> NextStep:
    """Visit arrivals until the centres are complete or a checkpoint is due.

    While rates come from norms, that is when a centre is much shorter than √`radius_square`, on which they rest.
    """
    count, visited, earlier = centres.count, 0, CentresByNorm(centres.since(schedule.start))
    while visited < len(arrivals):
        apart = (visited + 1) // (centres.count - count + 1)
        size = min(max(_LEAST_BLOCK, centres.count // 4, _FOUND * apart), _LARGEST_BLOCK)
        block = arrivals.take(slice(visited, visited + size))
        points, rate = known.points.take(block.row), known.rate[block.row]
        distance = nearest(points, earlier, None if schedule.by_norm else rate)
        distance = nearest(points, CentresByNorm(centres.since(count)), distance)
        left = np.flatnonzero(block.mark * rate < distance)
        some = points.take(left)
        small = (some.squares * _REBASE < radius_square) & schedule.by_norm
        rest = ArrivalBlock(some, left, (block.mark * rate)[left], distance[left], small)
        step = _visit(rest, len(block), centres, schedule)
        if step is not NextStep.ARRIVALS:
            return step
        visited += size
    return NextStep.PASS if schedule.arrivals >= schedule.limits(centres.count, 1)[0] else NextStep.ARRIVALS


def _visit(block: ArrivalBlock, size: int, centres: Centres, schedule: PassSchedule) -> NextStep:
    """One by one: each centre found lowers the distances of those after it. `block` is what is left of `size`."""
    before, at, gaps, sweep = schedule.arrivals, 0, squared_gaps(block.points, block.points), thinning_for(block.points)
    while at < len(block.place):
        most = min(centres.room, schedule.next_look) - centres.count
        rows, at, beyond = sweep(block, gaps, schedule.limits(centres.count, most) - before, at)
        if not len(rows):
            return NextStep.PASS if beyond else _after_block(schedule, before + size)
        centres.add(block.points.take(rows), block.distance[rows])
        schedule.arrivals = before + int(block.place[rows[-1]]) + 1
        step = NextStep.PASS if beyond else _after(centres, schedule, bool(block.small[rows[-1]]))
        if step is not NextStep.ARRIVALS:
            return step
    return _after_block(schedule, before + size)


def _after_block(schedule: PassSchedule, arrivals: int) -> NextStep:
    schedule.arrivals = arrivals
    return NextStep.ARRIVALS


def _after(centres: Centres, schedule: PassSchedule, small: bool) -> NextStep:
    if centres.count == centres.room:
        return NextStep.NOTHING
    if schedule.due_after(centres.count, schedule.arrivals):
        return NextStep.PASS
    return NextStep.SMALLER_RADIUS if small else NextStep.ARRIVALS
