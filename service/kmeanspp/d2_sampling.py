"""Exact k-means++ seeding (D² sampling) over any number of shards, in some ten to twenty rounds of messages.

k-means++ (Arthur and Vassilvitskii, SODA 2007) draws each next centre with a probability proportional to D², the
squared distance to the nearest centre so far. Done plainly that takes a pass over all points for every centre.
Here it takes a few passes in all, and the distribution is the same:

1.  Give every point a Poisson process, which makes it "arrive" again and again, at the rate D². The first point
    to arrive is point i with probability D²_i / ΣD² (competing exponentials), as k-means++ asks. The processes
    have no memory, so the next centre is the next point to arrive.
2.  D² falls with every centre, but rates are not updated. A rate that is too high does no harm if each arrival is
    kept only with probability D² / rate (thinning; Lewis and Shedler 1979). So D² is needed only for the few
    points that arrive. Rejection sampling for k-means++ (Cohen-Addad et al., NeurIPS 2020) rests on the same bound.
3.  The first rates need no pass: what a point looks like along three directions bounds D² (`sketch`,
    `NextStep.SKETCH`). One read of the pool gives these sketches with the norms.
4.  When too many arrivals are dropped, rates are taken afresh from the sketches of all centres so far or, if those
    are too coarse, from one pass over the pool, which sets them to D² (`NextStep.PASS`). Each such change of rates
    begins a phase at time 0 with new random numbers. `pass_schedule` decides when.
5.  For a stretch of time, shards send the points that may arrive in it (`queries.FindArrivals`); the arrivals are
    then scanned in the order of time (`arrival_scan`).

Times and marks are hashes of (seed, epoch, phase, position, arrival), and distances are exact (`points`), so the
picks are a function of the points alone: the same on any number of shards, backends and threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from negsift.service.kmeanspp.arrival_scan import ArrivalScan, Scan
from negsift.service.kmeanspp.arrival_stream import ArrivalStream
from negsift.service.kmeanspp.hashed_times import phase_key
from negsift.service.kmeanspp.messages import RateBasis, RatedPoints, TimeWindow
from negsift.service.kmeanspp.numba_policy import numba_pays
from negsift.service.kmeanspp.pass_schedule import NextStep, PassSchedule
from negsift.service.kmeanspp.point_pool import PointPool
from negsift.service.kmeanspp.queries import FindArrivals, SumBounds
from negsift.service.kmeanspp.seeding import EMPTY, Seeding, SeedingRun, SeedingSpec

_FIRST_STRETCH, _GROWTH = 128, 4  # arrivals of the first stretch; while rates come from sketches, stretches grow so
_LEAST_STRETCH = 64  # arrivals: fewer save less than the round costs
_SPARE = 64  # arrivals beyond the end of the phase, so that one stretch usually reaches it
_SURPLUS = 1.25  # arrivals per expected one for the centres that are missing: another stretch costs a round


def d2_sample(pool: PointPool, spec: SeedingSpec) -> Seeding:
    """`spec.count` points of the pool by D² sampling without replacement, or all points if there are fewer."""
    run = SeedingRun.begin(pool, spec, sketched=True)
    if run is None:
        return EMPTY
    D2Sampler(run).draw()
    return run.finish()


@dataclass
class Phase:
    """A stretch of the process with constant rates, from its time 0 on."""

    key: int
    basis: RateBasis
    total_rate: float
    scan: Scan
    restarts: int
    time: float = 0.0
    kept_share: float = 1.0
    """The share of the last stretch's arrivals that were kept."""


class D2Sampler:
    """Draws from the second centre to the last that can be drawn."""

    def __init__(self, run: SeedingRun) -> None:
        self._run, self._pool, self._centres = run, run.pool, run.centres
        self._schedule = PassSchedule(run.points, run.centres.capacity)
        self._phases = 0

    def draw(self) -> None:
        """Add centres until there are enough, or all points lie on one."""
        step = NextStep.SKETCH if self._centres.missing else NextStep.STOP
        while step is not NextStep.STOP:
            phase = self._begin_phase(by_sketch=step is NextStep.SKETCH)
            step = NextStep.SCAN if phase.total_rate > 0.0 else NextStep.STOP
            while step is NextStep.SCAN:
                step = self._advance(phase)

    def _begin_phase(self, by_sketch: bool) -> Phase:
        """New rates and a new key; time begins at 0."""
        self._schedule.begin_phase(self._centres.count, by_sketch)
        basis = RateBasis(self._centres.since(0).as_float32(), self._run.directions if by_sketch else None)
        total_rate = float(sum(self._pool.ask(SumBounds(basis))))
        self._phases += 1
        key = phase_key(self._run.spec.seed, self._run.spec.epoch, self._phases)
        return Phase(key, basis, total_rate, self._scan(ArrivalStream(key, basis.centres)), self._pool.restarts)

    def _scan(self, stream: ArrivalStream) -> Scan:
        """The compiled loop if that pays."""
        basis_rc = self._run.pruning
        if basis_rc is None or not numba_pays(self._centres.capacity**2 * basis_rc.shape[1]):
            return ArrivalScan(stream, self._centres, self._schedule)
        from negsift.service.kmeanspp.compiled_scan import CompiledScan

        return CompiledScan(stream, self._centres, self._schedule, basis_rc)

    def _advance(self, phase: Phase) -> NextStep:
        """One stretch of time: fetch the points that arrive in it, then scan their arrivals."""
        end = phase.time + self._stretch(phase) / phase.total_rate
        for rated in self._arriving(phase, end):
            phase.scan.stream.add(rated)
        arrivals, before = phase.scan.stream.until(end), self._centres.count
        step = phase.scan.run(arrivals)
        phase.time, phase.kept_share = end, (self._centres.count - before + 0.5) / (len(arrivals) + 0.5)
        return step

    def _arriving(self, phase: Phase, end: float) -> Sequence[RatedPoints]:
        """The points that arrive since the last stretch; since time 0 once a shard was restarted.

        The bounds of a restarted shard may be rounded differently, and with them who arrives in which stretch.
        """
        parts: Sequence[RatedPoints] = []
        if self._pool.restarts == phase.restarts:
            parts = self._pool.ask(FindArrivals(phase.basis, TimeWindow(phase.key, phase.time, end)))
        if self._pool.restarts != phase.restarts:
            parts = self._pool.ask(FindArrivals(phase.basis, TimeWindow(phase.key, 0.0, end)))
        return parts

    def _stretch(self, phase: Phase) -> float:
        """The expected arrivals of the next stretch: enough for the last centre, or to the end of the phase."""
        schedule = self._schedule
        to_end = float(schedule.limits(self._centres.count, 1)[0]) - schedule.arrivals + _SPARE
        needed = _SURPLUS * self._centres.missing / phase.kept_share
        if schedule.by_sketch:
            needed = min(needed, max(_FIRST_STRETCH, _GROWTH * schedule.arrivals))
        return min(to_end, max(needed, _LEAST_STRETCH))
