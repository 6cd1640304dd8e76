"""The scan of arrivals one by one, in a compiled loop; what it keeps is what `arrival_scan` keeps, block by block."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.service.kmeanspp.arrival_stream import Arrivals, ArrivalStream
from negsift.service.kmeanspp.centres import Centres
from negsift.service.kmeanspp.numba_scan import KnownGaps, SketchedPoints, scan
from negsift.service.kmeanspp.pass_schedule import NextStep, PassSchedule
from negsift.service.kmeanspp.sketch import plain_sketch


class CompiledScan:
    """The scan of one phase, for points of one factor."""

    def __init__(self, stream: ArrivalStream, centres: Centres, schedule: PassSchedule, basis_rc: Floats) -> None:
        """The arrivals of `stream` become centres; sketches are along the orthonormal `basis_rc`."""
        self.stream, self._centres, self._schedule, self._basis = stream, centres, schedule, basis_rc
        columns, wide = basis_rc.shape[1], len(basis_rc) + 1
        none = np.zeros((0, columns), dtype=np.float32), np.zeros(0), np.zeros((wide, 0), dtype=np.float32)
        self._points = SketchedPoints(*none)
        self._progress = KnownGaps(np.zeros(0), np.zeros(0, dtype=np.int64))
        sketch = np.zeros((wide, centres.capacity), dtype=np.float32)
        sketch[:, : centres.count] = plain_sketch(centres.since(0), basis_rc)
        self._chosen = SketchedPoints(centres.rows, centres.squares, sketch)

    def run(self, arrivals: Arrivals) -> NextStep:
        """Visit arrivals until all centres are chosen or the phase ends."""
        self._add_points()
        schedule, centres = self._schedule, self._centres
        before, first = schedule.arrivals, 0
        pairs = arrivals.row, arrivals.mark * self.stream.rate[arrivals.row]
        while first < len(arrivals):
            most = min(centres.capacity, schedule.next_check) - centres.count
            limits = schedule.limits(centres.count, most) - before
            kept, gaps, first, beyond = scan(
                pairs, self._points, self._chosen, self._progress, centres.count, limits, first
            )
            if len(kept):
                centres.note(self.stream.points.index[arrivals.row[kept]], gaps)
                schedule.arrivals = before + int(kept[-1]) + 1
            step = schedule.end_phase(centres.count) if beyond else schedule.after(centres)
            if step is not NextStep.SCAN:
                return step
        schedule.arrivals = before + len(arrivals)
        return schedule.after_all(centres.count)

    def _add_points(self) -> None:
        """Sketch the points that the stream has received."""
        fresh = self.stream.points.take(slice(len(self._points.square), None))
        if len(fresh):
            added = SketchedPoints(fresh.factors32[0], fresh.squares, plain_sketch(fresh, self._basis))
            x, square, sketch = self._points
            sketch = np.concatenate([sketch, added.sketch], axis=1)
            self._points = SketchedPoints(np.concatenate([x, added.x]), np.append(square, added.square), sketch)
            gap, seen = self._progress
            rate = self.stream.rate[len(gap) :]  # which is D² to the centres of the last pass, or no less
            self._progress = KnownGaps(np.append(gap, rate), np.append(seen, np.full(len(rate), self._schedule.start)))
