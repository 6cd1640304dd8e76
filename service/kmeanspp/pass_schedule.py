"""When D² sampling takes fresh rates: a function of counts, so shards can't change it.

Stale rates waste arrivals, which thinning drops. Rates from fresh sketches cost little and leave what sketches can't
see; a pass compares every point with the new centres. The rule is that of ski rental (Karlin et al. 1988): take
fresh rates once the arrivals since the last have cost as much. At fixed numbers of centres it also looks ahead, and
takes them if the waste to come would cost more.

Costs are in distances computed, of one point to one centre.
"""

import enum
from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.centres import Centres

_PASS_COST, _ARRIVAL_COST = 16, 512  # fixed costs of a point in a pass and of an arrival
_SKETCH_COST, _SKETCHES = 1.0, 12  # the fixed cost of a point in fresh sketches, and sketches compared for a distance
_PHASE_COST = 300_000  # of a phase, however few points there are: small pools pass instead
_FIRST_CHECK = 16  # centres
_STALE = 2  # times the centres of the last sketches: with fewer, fresh ones say hardly more
_FREE_ARRIVALS, _FREE_SKETCHED = 64, 512  # so that tiny pools don't take fresh rates for every centre
_WASTE, _EARLY_WASTE = 2.0, 1.25  # arrivals a centre after a pass, as a rule; fewer while there are few centres


class NextStep(enum.Enum):
    """What D² sampling has to do next."""

    SCAN = enum.auto()
    SKETCH = enum.auto()
    PASS = enum.auto()
    STOP = enum.auto()


@dataclass
class PassSchedule:
    """Counts since the last pass, of which rates from a pass rest on the first `start` centres.

    `by_sketch`: no pass was made yet, and rates come from sketches of the first `fresh` centres.
    """

    points: int
    capacity: int
    by_sketch: bool = True
    start: int = 0
    fresh: int = 0
    arrivals: int = 0
    _began: int = 0  # the arrivals at which the phase began
    _checked: tuple[int, int] = (1, 0)  # the numbers of centres and arrivals at the last check
    next_check: int = _FIRST_CHECK
    """The number of centres from which on `check` has to be called."""

    def begin_phase(self, centres: int, by_sketch: bool) -> None:
        """New rates with that many centres."""
        self.by_sketch, self.fresh = by_sketch, centres
        if not by_sketch:
            self.arrivals, self.start = 0, centres
        self._began = self.arrivals
        self._note_check(centres)

    def limits(self, centres: int, count: int) -> Floats:
        """The arrivals at which the phase ends with `centres`, `centres` + 1, … centres, (count,)."""
        chosen = np.arange(centres, centres + count)
        return np.minimum(self._pass_limits(chosen), self._sketch_limits(chosen))

    def end_phase(self, centres: int) -> NextStep:
        """The step after a phase that ends at its limit."""
        chosen = np.array([centres])
        by_pass, by_sketch = float(self._pass_limits(chosen)[0]), float(self._sketch_limits(chosen)[0])
        self.arrivals = max(self.arrivals, int(np.ceil(min(by_pass, by_sketch))))
        return NextStep.PASS if by_pass <= by_sketch else NextStep.SKETCH

    def _pass_limits(self, chosen: Index) -> Floats:
        limit = self.points * (chosen - self.start + _PASS_COST) / (chosen + _ARRIVAL_COST) + _FREE_ARRIVALS
        same = (chosen == self.start) & (not self.by_sketch)  # another pass would give the same rates
        return np.where(same, np.inf, limit)

    def _sketch_limits(self, chosen: Index) -> Floats:
        cost = self.points * ((chosen - self.fresh) / _SKETCHES + _SKETCH_COST)
        limit = self._began + cost / (chosen + _ARRIVAL_COST) + _FREE_SKETCHED
        return np.where((chosen >= _STALE * self.fresh) & self.by_sketch, limit, np.inf)

    def after(self, centres: Centres) -> NextStep:
        """The step after the last centre kept."""
        return self.check(centres.count, self.arrivals) if centres.missing else NextStep.STOP

    def after_all(self, centres: int) -> NextStep:
        """The step after all arrivals received."""
        return self.end_phase(centres) if self.arrivals >= self.limits(centres, 1)[0] else NextStep.SCAN

    def check(self, centres: int, arrivals: int) -> NextStep:
        """Whether fresh rates now cost less than the arrivals that they save until the last centre."""
        if centres < self.next_check:
            return NextStep.SCAN
        per_centre = (arrivals - self._checked[1]) / (centres - self._checked[0])
        mean_cost = (centres + self.capacity) / 2 + _ARRIVAL_COST
        saved = (self.capacity - centres) * (per_centre - (_EARLY_WASTE if self.by_sketch else _WASTE)) * mean_cost
        self._note_check(centres, arrivals)
        by_pass = self.points * (centres - self.start + _PASS_COST)
        by_sketch = self.points * ((centres - self.fresh) / _SKETCHES + _SKETCH_COST) + _PHASE_COST
        if self.by_sketch and centres >= _STALE * self.fresh and by_sketch < by_pass:
            return NextStep.SKETCH if saved > by_sketch else NextStep.SCAN
        return NextStep.PASS if saved > by_pass else NextStep.SCAN

    def _note_check(self, centres: int, arrivals: int | None = None) -> None:
        later = max(centres + 4, int(1.25 * centres))
        self._checked = (centres, self.arrivals if arrivals is None else arrivals)
        self.next_check = min(_FIRST_CHECK, later) if self.by_sketch and centres < _FIRST_CHECK else later
