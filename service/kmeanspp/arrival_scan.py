"""The scan of arrivals in the order of time, each kept as a centre with probability D²/rate.

A block of arrivals is compared with the centres so far in one matrix product. The arrivals that this thins out
already are dropped; the others are visited one by one, since each centre lowers the D² of those after it.
Axes: m arrivals of a block.
"""

import enum

import numpy as np

from negsift.service.kmeanspp.arrival_stream import Arrivals, ArrivalStream
from negsift.service.kmeanspp.centres import Centres
from negsift.service.kmeanspp.nearest import CentresByNorm, nearest
from negsift.service.kmeanspp.numba_policy import numba_pays
from negsift.service.kmeanspp.pass_schedule import PassSchedule
from negsift.service.kmeanspp.points import Points, squared_gaps
from negsift.service.kmeanspp.thinning import ArrivalBlock, Thinning, thin_out

_LEAST_BLOCK, _MOST_BLOCK = 96, 1024  # arrivals; the squared distances among 1,024 take 8 MiB
_CENTRES_A_BLOCK = 8  # expected; larger blocks compare more arrivals that these centres thin out anyway
_SHRINK = 1.5**2  # a radius this much smaller (squared) is worth a new phase, which costs no pass


class NextStep(enum.Enum):
    """What D² sampling has to do next."""

    SCAN = enum.auto()
    PASS = enum.auto()
    SMALLER_RADIUS = enum.auto()
    STOP = enum.auto()


class ArrivalScan:
    """The scan of one phase."""

    def __init__(
        self, stream: ArrivalStream, centres: Centres, schedule: PassSchedule, radius_square: float = 0.0
    ) -> None:
        """Rates come from norms and the radius √`radius_square`, or from a pass if that is 0."""
        self.stream, self._centres, self._schedule = stream, centres, schedule
        self._radius_square = radius_square

    def run(self, arrivals: Arrivals) -> NextStep:
        """Visit arrivals until all centres are chosen or the phase ends."""
        scanned, before = 0, self._centres.count
        earlier = CentresByNorm(self._centres.since(self._schedule.start))
        while scanned < len(arrivals):
            a_centre = (scanned + 1) // (self._centres.count - before + 1)
            size = max(_LEAST_BLOCK, self._centres.count // 4, _CENTRES_A_BLOCK * a_centre)
            part = arrivals.take(slice(scanned, scanned + min(size, _MOST_BLOCK)))
            points, block = self._thin_by_centres(part, earlier, before)
            step = self._visit(points, block, len(part))
            if step is not NextStep.SCAN:
                return step
            scanned += len(part)
        limit = self._schedule.limits(self._centres.count, 1)[0]
        return NextStep.PASS if self._schedule.arrivals >= limit else NextStep.SCAN

    def _thin_by_centres(self, arrivals: Arrivals, earlier: CentresByNorm, before: int) -> tuple[Points, ArrivalBlock]:
        """The arrivals that the centres so far leave; `earlier` has those before the scan, of which `before`."""
        points, rate_m = self.stream.points.take(arrivals.row), self.stream.rate[arrivals.row]
        gap_m = nearest(points, earlier, None if self._schedule.by_norm else rate_m)
        gap_m = nearest(points, CentresByNorm(self._centres.since(before)), gap_m)
        place_m = np.flatnonzero(arrivals.mark * rate_m < gap_m)
        left = points.take(place_m)
        ends_phase_m = left.squares * _SHRINK < self._radius_square
        return left, ArrivalBlock(place_m, (arrivals.mark * rate_m)[place_m], gap_m[place_m], ends_phase_m)

    def _visit(self, points: Points, block: ArrivalBlock, size: int) -> NextStep:
        """Keep arrivals of the block one by one; it is what thinning left of `size` arrivals."""
        thin, gaps_mm = _thinning_for(points), squared_gaps(points, points)
        before, row = self._schedule.arrivals, 0
        while row < len(points):
            count = self._centres.count
            most = min(self._centres.capacity, self._schedule.next_check) - count
            kept, row, beyond = thin(block, gaps_mm, self._schedule.limits(count, most) - before, row)
            if len(kept):
                self._centres.add(points.take(kept), block.gap[kept])
                self._schedule.arrivals = before + int(block.place[kept[-1]]) + 1
            step = NextStep.PASS if beyond else self._after(len(kept) > 0 and bool(block.ends_phase[kept[-1]]))
            if step is not NextStep.SCAN:
                return step
        self._schedule.arrivals = before + size
        return NextStep.SCAN

    def _after(self, ends_phase: bool) -> NextStep:
        """What comes after the last centre kept."""
        if not self._centres.missing:
            return NextStep.STOP
        if self._schedule.pass_pays(self._centres.count, self._schedule.arrivals):
            return NextStep.PASS
        return NextStep.SMALLER_RADIUS if ends_phase else NextStep.SCAN


def _thinning_for(points: Points) -> Thinning:
    """The loop for a block of these points, compiled if that pays."""
    if not numba_pays(points, len(points)):
        return thin_out
    from negsift.service.kmeanspp import numba_kernels

    return numba_kernels.thin_out
