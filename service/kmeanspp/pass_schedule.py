"""When D² sampling makes a pass over the pool for fresh rates: a function of counts, so shards can't change it.

Stale rates waste arrivals, which thinning drops; a pass compares every point with the new centres. The rule is
that of ski rental (Karlin et al. 1988): pass once the arrivals since the last pass have cost as much as a pass
would. At fixed numbers of centres it also looks ahead, and passes if the waste to come would cost more.

Costs are in distances computed, of one point to one centre.
"""

from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Floats

_PASS_COST, _ARRIVAL_COST = 16, 512  # fixed costs of a point in a pass and of an arrival
_FIRST_CHECK = 16  # centres
_FREE_ARRIVALS = 64  # so that tiny pools don't pass for every centre
_WASTE, _EARLY_WASTE = 2.0, 1.25  # arrivals a centre after a pass, as a rule; fewer while there are few centres


@dataclass
class PassSchedule:
    """Counts of the current phase: `arrivals` so far, and the centres that its rates rest on, `start`.

    `by_norm`: no pass was made yet, and rates come from norms alone.
    """

    points: int
    capacity: int
    by_norm: bool = True
    start: int = 0
    arrivals: int = 0
    _checked: tuple[int, int] = (1, 0)  # the numbers of centres and arrivals at the last check
    next_check: int = _FIRST_CHECK
    """The number of centres from which on `pass_pays` has to be called."""

    def begin_phase(self, centres: int, by_norm: bool) -> None:
        """A new phase begins with that many centres."""
        self.by_norm, self.arrivals = by_norm, 0
        self.start = 0 if by_norm else centres
        self._note_check(centres)

    def limits(self, centres: int, count: int) -> Floats:
        """The arrivals at which the phase ends with `centres`, `centres` + 1, … centres, (count,)."""
        chosen = np.arange(centres, centres + count)
        limit = self.points * (chosen - self.start + _PASS_COST) / (chosen + _ARRIVAL_COST) + _FREE_ARRIVALS
        fresh = (chosen == self.start) & (not self.by_norm)  # another pass would give the same rates
        return np.where(fresh, np.inf, limit)

    def pass_pays(self, centres: int, arrivals: int) -> bool:
        """Whether a pass now costs less than the arrivals that it saves until the last centre."""
        if centres < self.next_check:
            return False
        per_centre = (arrivals - self._checked[1]) / (centres - self._checked[0])
        saved = per_centre - (_EARLY_WASTE if self.by_norm else _WASTE)
        mean_cost = (centres + self.capacity) / 2 + _ARRIVAL_COST
        pass_cost = self.points * (centres - self.start + _PASS_COST)
        self._note_check(centres, arrivals)
        return (self.capacity - centres) * saved * mean_cost > pass_cost

    def _note_check(self, centres: int, arrivals: int = 0) -> None:
        later = max(centres + 4, int(1.25 * centres))
        self._checked = (centres, arrivals)
        self.next_check = min(_FIRST_CHECK, later) if self.by_norm and centres < _FIRST_CHECK else later
