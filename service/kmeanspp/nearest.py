"""Exact squared distances to the nearest of many centres, without those whose norm alone is too far away.

A point of norm |u| is at least ||u| - |c|| away from a centre of norm |c|. With centres sorted by norm, those
that can be nearer than a known bound are a run. What is skipped doesn't change the answer: it is the minimum of
the bound and of (|c|² - 2u·c) + |u|², added in this order, and at least 0. Axes: n points, m centres.
"""

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.numba_policy import numba_pays
from negsift.service.kmeanspp.points import Points, squared_gaps

_LEAST_ROWS, _MOST_CELLS = 64, 1 << 14  # of a run of points, and of its array of gaps, which then stays in the cache
_BOUND_SLACK, _NORM_SLACK = 1.0 + 1e-9, 4e-11  # for the rounding of norms; `numba_kernels` has the same
_CACHED_BYTES = 4 << 20  # of centres: the compiled loop reads them again for every four points, BLAS less often


class CentresByNorm:
    """Centres in the order of their norms."""

    def __init__(self, centres: Points) -> None:
        self.points = centres.take(np.argsort(centres.squares, kind="stable"))
        self._norms = np.sqrt(self.points.squares)

    def __len__(self) -> int:
        return len(self.points)

    def between(self, low: float, high: float) -> Points:
        """Those with norms from `low` to `high`."""
        first, last = np.searchsorted(self._norms, low, "left"), np.searchsorted(self._norms, high, "right")
        return self.points.take(slice(int(first), int(last)))


def nearest(points: Points, centres: CentresByNorm, bound_n: Floats | None = None) -> Floats:
    """The squared distance of each point to the nearest centre, or its bound if that is less, (n,), squared steps.

    Without bounds and without centres it is infinite.
    """
    gap_n = np.full(len(points), np.inf) if bound_n is None else bound_n.copy()
    order, sorted_centres = np.argsort(points.squares, kind="stable"), centres.points
    products, one_factor = len(points) * sorted_centres.factors[0].size, len(points.factors) == 1
    if one_factor and numba_pays(products) and sorted_centres.factors64[0].nbytes <= _CACHED_BYTES:
        from negsift.service.kmeanspp.numba_kernels import lower_to_nearest

        theirs = sorted_centres.factors64[0], sorted_centres.squares
        lower_to_nearest((points.factors64[0], points.squares, order), theirs, gap_n)
    elif len(centres):
        step = max(_LEAST_ROWS, _MOST_CELLS // len(centres))
        for start in range(0, len(order), step):
            _lower(gap_n, points, order[start : start + step], centres)
    np.maximum(gap_n, 0.0, out=gap_n)
    return gap_n


def _lower(gap_n: Floats, points: Points, rows: Index, centres: CentresByNorm) -> None:
    """Lower the gaps of `rows`, which are sorted by norm, to the nearest centre."""
    low, high = np.sqrt(points.squares[rows[[0, -1]]])
    reach = np.sqrt(gap_n[rows].max() * _BOUND_SLACK + _NORM_SLACK * high * high)
    candidates = centres.between(low - reach, high + reach)
    if len(candidates):
        gap_n[rows] = np.minimum(gap_n[rows], squared_gaps(points.take(rows), candidates).min(1))
