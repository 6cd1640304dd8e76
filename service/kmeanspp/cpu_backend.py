"""The backend for a CPU: matrix products by BLAS over runs of rows that stay in the cache.

With numba, sketches with norms, and first arrival times, take one pass over memory each. Compiled products, and
torch's, were no quicker than BLAS.
Axes: n points, m centres, c columns.
"""

from functools import cached_property

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.rng import uniform_keys
from negsift.service.kmeanspp.float_sketch import FloatSketch
from negsift.service.kmeanspp.messages import TimeWindow
from negsift.service.kmeanspp.nearest import CentresByNorm
from negsift.service.kmeanspp.numba_policy import numba_installed
from negsift.service.kmeanspp.point_backend import NEAR, ROUNDED_UP, earliest, row_runs, slack
from negsift.service.kmeanspp.points import Points, Steps
from negsift.service.kmeanspp.sketch import Directions

_MOST_ROWS, _LEAST_ROWS, _MOST_CELLS = 1 << 13, 256, 1 << 20  # of a run and of its products: 4 MiB
_NORM_RUN = 128  # points of similar norm that share their candidate centres
_NARROW = 64  # up to this many columns numpy finds the least of a row faster in the transposed array
LEAST_BYTES = 2 << 20  # of points; fewer are done before numba has loaded, which takes a second
MANY_CENTRES = 32  # from here on it pays to visit points in the order of their norms, scattered as they are


class CpuBackend:
    """Points and bounds as numpy arrays; 28 bytes a point beyond the points."""

    def __init__(self, points: Points, compiled: bool | None = None) -> None:
        """`compiled`: whether numba is used; by default where it pays."""
        self._compiled = points.size_bytes >= LEAST_BYTES and numba_installed() if compiled is None else compiled
        self._index, self._factors, self._slack = points.index, points.factors32, slack(points.factors)
        self._sketch: FloatSketch | None = None
        self._bound: Steps = np.full(len(points), np.inf, dtype=np.float32)
        self._times: Steps | None = None
        self._timed: int | None = None  # the key that `_times` are for

    @cached_property
    def squares(self) -> Steps:
        """|u|² of every point, (n,)."""
        if self._sketch is not None:
            return self._sketch.squares
        squares_n: Steps = np.ones(len(self._bound), dtype=np.float32)
        for factor_nc in self._factors:
            squares_n *= self._norms_of(factor_nc)
        return squares_n

    def look_along(self, directions: Directions) -> None:
        """Sketch all points along these directions."""
        self._sketch = FloatSketch(self._factors, directions, self._compiled)

    def lower_by_sketch(self, sketch_mr: Floats, squares_m: Floats) -> Index:
        """Lower the bounds to what sketches say of D² to these centres; gives the rows that may be mostly rounding."""
        assert self._sketch is not None  # `look_along` was called
        self._timed = None
        return self._sketch.lower(self._bound, sketch_mr, squares_m)

    def lower_bounds(self, centres: Points) -> Index:
        """Lower them to |u|²(1 + 2ε) + |c|²(1 + ε) - 2u·c; gives the rows that may be mostly rounding."""
        self._timed = None
        if len(centres) < MANY_CENTRES:
            for rows in self._runs(len(centres)):
                self._lower(rows, centres)
        else:
            self._lower_by_norm(CentresByNorm(centres))
        limit = np.float32(NEAR * self._slack)
        return np.flatnonzero((self._bound > 0.0) & (self._bound <= limit * self.squares))

    def _lower_by_norm(self, centres: CentresByNorm) -> None:
        """The same for many centres: each run of points of similar norm meets those near enough in norm."""
        norms_n = np.sqrt(self.squares, dtype=np.float64)
        for run in row_runs(len(norms_n), _NORM_RUN):
            rows = self._order[run]
            reach = np.sqrt(float(self._bound[rows].max()))
            candidates = centres.between(norms_n[rows[0]] - reach, norms_n[rows[-1]] + reach)
            if len(candidates):
                self._lower(rows, candidates)

    def _lower(self, rows: slice | Index, centres: Points) -> None:
        left, right = [factor_nc[rows] for factor_nc in self._factors], centres.factors32
        products_nm = left[0] @ (np.float32(-2.0) * right[0]).T
        for left_nc, right_mc in zip(left[1:], right[1:], strict=True):
            products_nm *= left_nc @ right_mc.T
        products_nm += (centres.squares * (1.0 + self._slack)).astype(np.float32)
        bound_n = _row_minima(products_nm) + self.squares[rows] * np.float32(1.0 + 2.0 * self._slack)
        self._bound[rows] = np.minimum(self._bound[rows], bound_n)

    @cached_property
    def _order(self) -> Index:
        """The rows in the order of their norms."""
        return np.argsort(self.squares).astype(np.int32 if len(self.squares) < 1 << 31 else np.int64)

    def bounds_of(self, rows: Index) -> Floats:
        """The bounds of `rows`."""
        return self._bound[rows].astype(np.float64)

    def set_bounds(self, rows: Index, gap_n: Floats) -> None:
        """Set the bounds of `rows` to these exact D², rounded up."""
        self._timed, self._bound[rows] = None, gap_n * ROUNDED_UP

    def reset(self) -> None:
        """Set all bounds to infinity."""
        self._timed, self._bound[:] = None, np.inf

    def sum_bounds(self) -> float:
        """The sum of all bounds."""
        return float(self._bound.sum(dtype=np.float64))

    def largest(self, count: int) -> tuple[Index, float]:
        """The `count` rows of the largest bounds and the largest bound of the others."""
        if count >= len(self._bound):
            return np.arange(len(self._bound)), 0.0
        order = np.argpartition(self._bound, len(self._bound) - count - 1)
        least = len(order) - count
        return order[least:], float(self._bound[order[least - 1]])

    def arriving(self, window: TimeWindow) -> Index:
        """Rows whose first arrival may be in the window, and perhaps a few at its ends."""
        if self._timed != window.key or self._times is None:
            self._timed, self._times = window.key, self._first_times(window.key)
        rows = np.flatnonzero(self._times <= np.float32(window.end * ROUNDED_UP))
        return rows[self._times[rows] > np.float32(window.start / ROUNDED_UP)] if window.start else rows

    def _first_times(self, key: int) -> Steps:
        """A lower bound of each point's first arrival time, (n,)."""
        times_n = np.empty_like(self._bound) if self._times is None else self._times
        if self._compiled:
            from negsift.service.kmeanspp.numba_kernels import first_times

            first_times(self._index, self._bound, np.uint64(key), times_n)
            return times_n
        with np.errstate(divide="ignore", invalid="ignore"):  # points of rate 0 never arrive
            for rows in self._runs(1):
                uniform_n = uniform_keys(key, self._index[rows])
                times_n[rows] = earliest(uniform_n, self._bound[rows].astype(np.float64))
        return times_n

    def _norms_of(self, factor_nc: Steps) -> Steps:
        """Squared norms, (n,)."""
        if self._compiled:
            from negsift.service.kmeanspp.numba_kernels import squared_norms

            return squared_norms(factor_nc)
        squares_n: Steps = np.einsum("nc,nc->n", factor_nc, factor_nc)
        return squares_n

    def small_hashes(self, key: int, share: float) -> Index:
        """The rows whose `rng.uniform_keys` under `key` is at most `share`, and perhaps a few more."""
        if self._compiled:
            from negsift.service.kmeanspp.numba_kernels import small_hashes

            return small_hashes(self._index, np.uint64(key), share)
        parts = [np.flatnonzero(uniform_keys(key, self._index[run]) <= share) + run.start for run in self._runs(1)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])

    def _runs(self, columns: int) -> list[slice]:
        """All rows in runs of which an array of that many columns stays in the cache."""
        return row_runs(len(self._bound), max(_LEAST_ROWS, min(_MOST_ROWS, _MOST_CELLS // max(columns, 1))))


def _row_minima(products_nm: Steps) -> Steps:
    if products_nm.shape[1] < _NARROW:
        products_nm = np.ascontiguousarray(products_nm.T).T
    minima_n: Steps = products_nm.min(1)
    return minima_n
