"""The scan of arrivals in the order of time, each kept as a centre with probability D²/rate.

A block of arrivals is compared with the centres so far in one matrix product. The arrivals that this thins out
already are dropped; the others are visited one by one, since each centre lowers the D² of those after it.
Axes: m arrivals of a block.
"""

from typing import Protocol

import numpy as np

from negsift.service.kmeanspp.arrival_stream import Arrivals, ArrivalStream
from negsift.service.kmeanspp.centres import Centres
from negsift.service.kmeanspp.nearest import CentresByNorm, nearest
from negsift.service.kmeanspp.numba_policy import numba_pays
from negsift.service.kmeanspp.pass_schedule import NextStep, PassSchedule
from negsift.service.kmeanspp.points import Points, squared_gaps
from negsift.service.kmeanspp.thinning import ArrivalBlock, Thinning, thin_out

_LEAST_BLOCK, _MOST_BLOCK = 96, 1024  # arrivals; the squared distances among 1,024 take 8 MiB
_CENTRES_A_BLOCK = 8  # expected; larger blocks compare more arrivals that these centres thin out anyway


class Scan(Protocol):
    """The scan of one phase."""

    stream: ArrivalStream

    def run(self, arrivals: Arrivals) -> NextStep:
        """Visit arrivals until all centres are chosen or the phase ends."""


class ArrivalScan:
    """The scan of one phase."""

    def __init__(self, stream: ArrivalStream, centres: Centres, schedule: PassSchedule) -> None:
        """The arrivals of `stream` become centres."""
        self.stream, self._centres, self._schedule = stream, centres, schedule

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
        return self._schedule.after_all(self._centres.count)

    def _thin_by_centres(self, arrivals: Arrivals, earlier: CentresByNorm, before: int) -> tuple[Points, ArrivalBlock]:
        """The arrivals that the centres so far leave; `earlier` has those before the scan, of which `before`."""
        points, rate_m = self.stream.points.take(arrivals.row), self.stream.rate[arrivals.row]
        gap_m = nearest(points, earlier, rate_m)
        gap_m = nearest(points, CentresByNorm(self._centres.since(before)), gap_m)
        place_m = np.flatnonzero(arrivals.mark * rate_m < gap_m)
        return points.take(place_m), ArrivalBlock(place_m, (arrivals.mark * rate_m)[place_m], gap_m[place_m])

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
            step = self._schedule.end_phase(self._centres.count) if beyond else self._schedule.after(self._centres)
            if step is not NextStep.SCAN:
                return step
        self._schedule.arrivals = before + size
        return NextStep.SCAN


def _thinning_for(points: Points) -> Thinning:
    """The loop for a block of these points, compiled if that pays."""
    if len(points.factors) > 1 or not numba_pays(len(points) * points.factors[0].size):
        return thin_out
    from negsift.service.kmeanspp import numba_kernels

    return numba_kernels.thin_out
