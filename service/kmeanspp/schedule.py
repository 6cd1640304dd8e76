"""When the race starts anew with fresh rates: a pure function of counts, so it can't depend on shards.

Fresh rates cost one pass over the pool and save arrivals that would be thinned out. The rule is ski
rental: pass when the arrivals since the last pass have cost as much as a pass would; and, looking
ahead at fixed numbers of centres, when the waste to come would cost more than a pass does now.
"""

from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Floats

_PASS_ROWS, _WALK_ROWS = 16, 512  # fixed costs of a pass and of an arrival, in distances
_FIRST_PASS = 16
_FREE_ARRIVALS = 64
_WASTE = 2.0  # arrivals a centre that a pass leaves, as a rule; fewer while there are few centres
_EARLY_WASTE = 1.25


@dataclass
class PassSchedule:
    """Counts since the last checkpoint: `arrivals`, and the centres there were at it, `start`.

    `by_norm` says that no pass was made yet and rates come from norms alone.
    """

    points: int
    wanted: int
    by_norm: bool = True
    start: int = 0
    arrivals: int = 0
    _seen: tuple[int, int] = (1, 0)
    _next: int = _FIRST_PASS

    def begin(self, centres: int, by_norm: bool) -> None:
        """A checkpoint with so many centres."""
        self.by_norm, self.arrivals = by_norm, 0
        self.start = 0 if by_norm else centres
        self._look(centres)

    @property
    def next_look(self) -> int:
        """The number of centres from which on `due_after` has to be asked."""
        return self._next

    def limits(self, centres: int, count: int) -> Floats:
        """With `centres`, `centres` + 1, …: the arrivals since the checkpoint before which the next is due."""
        have = np.arange(centres, centres + count)
        limit = self.points * (have - self.start + _PASS_ROWS) / (have + _WALK_ROWS) + _FREE_ARRIVALS
        fresh = (have == self.start) & (not self.by_norm)
        return np.where(fresh, np.inf, limit)

    def due_after(self, centres: int, arrivals: int) -> bool:
        """Whether a checkpoint is due now that there are `centres`, after `arrivals` since the last one."""
        if centres < self._next:
            return False
        per_centre = (arrivals - self._seen[1]) / (centres - self._seen[0])
        saved = per_centre - (_EARLY_WASTE if self.by_norm else _WASTE)
        mean_cost = (centres + self.wanted) / 2 + _WALK_ROWS
        pass_cost = self.points * (centres - self.start + _PASS_ROWS)
        self._look(centres, arrivals)
        return (self.wanted - centres) * saved * mean_cost > pass_cost

    def _look(self, centres: int, arrivals: int = 0) -> None:
        step = max(centres + 4, int(1.25 * centres))
        self._seen = (centres, arrivals)
        self._next = min(_FIRST_PASS, step) if self.by_norm and centres < _FIRST_PASS else step
