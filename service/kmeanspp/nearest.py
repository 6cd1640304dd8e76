"""Exact squared distances to the nearest of many centres, passing over those too far away in norm alone.

A point of norm |u| is at least ||u| - |c|| away from a centre of norm |c|. With centres in the order of
their norms, those that can be nearer than a bound known before are a run. The answer doesn't depend on
what was passed over: it is the minimum of the bound and of (|c|² - 2u·c) + |u|², in this order of
operations, and never below 0.
"""

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.backends import compiled_for
from negsift.service.kmeanspp.points import Points, squared_gaps

_RUN, _CELLS = 64, 1 << 14
_SAFE, _ROUNDING = 1.0 + 1e-9, 4e-11
_CACHED_BYTES = 4 << 20  # of centres; more are read again for every few points by the compiled loop, BLAS knows better


class CentresByNorm:
    """Centres in the order of their norms."""

    def __init__(self, centres: Points) -> None:
        self.points = centres.take(np.argsort(centres.squares, kind="stable"))
        self.norms = np.sqrt(self.points.squares)

    def __len__(self) -> int:
        return len(self.norms)

    def between(self, low: float, high: float) -> Points:
        """Those with norms from `low` to `high`."""
        first, last = np.searchsorted(self.norms, low, "left"), np.searchsorted(self.norms, high, "right")
        return self.points.take(slice(int(first), int(last)))


def nearest(points: Points, centres: CentresByNorm, bound: Floats | None = None) -> Floats:
    """The squared distance of each point to the nearest centre, or `bound` where that is less, (n,), squared steps.

    Without a bound it is infinite where there is no centre.
    """
    found = np.full(len(points), np.inf) if bound is None else bound.copy()
    order = np.argsort(points.squares, kind="stable")
    compiled, ours = compiled_for(points, len(centres)), centres.points
    if compiled is not None and len(centres) and ours.exact[0].nbytes <= _CACHED_BYTES:
        compiled.lower_by_near(
            points.exact[0], points.squares, order, ours.exact[0], ours.squares, centres.norms, found
        )
    elif len(centres):
        step = max(_RUN, _CELLS // len(centres))
        for start in range(0, len(order), step):
            _lower(found, points, order[start : start + step], centres)
    np.maximum(found, 0.0, out=found)
    return found


def _lower(found: Floats, points: Points, rows: Index, centres: CentresByNorm) -> None:
    """The same for a run of points of similar norms, `rows`."""
    some, (low, high) = points.take(rows), np.sqrt(points.squares[rows[[0, -1]]])
    reach = np.sqrt(found[rows].max() * _SAFE + _ROUNDING * high * high)
    near = centres.between(low - reach, high + reach)
    if len(near):
        found[rows] = np.minimum(found[rows], squared_gaps(some, near).min(1))
