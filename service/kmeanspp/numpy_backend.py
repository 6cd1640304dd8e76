"""What a shard does with every point it holds, in numpy: the portable body, and the form of all bodies.

All of it is float32 and only ever an upper bound or a filter, so that bodies may round differently
without changing a pick. Axes: n points, m centres, c columns.
"""

from functools import cached_property
from typing import Protocol

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.rng import uniform_keys
from negsift.service.kmeanspp.nearest import CentresByNorm
from negsift.service.kmeanspp.points import Factor, Points, Steps

_ROWS, _CELLS, _NORM_RUN = 1 << 13, 1 << 20, 128
_SHORT = 64
NEAR = 16.0
ROUNDED_UP = 1.0 + 2.0**-22  # so that float32 of it is no less than the number was
MANY_CENTRES = 32  # from here on it pays to visit points in the order of their norms, scattered as they are


class PointBackend(Protocol):
    """The loops over all points of a shard, wherever their memory is.

    A `radius` stands for the rates (|u| + radius)²; None for the bounds, which begin at infinity.
    """

    squares: Steps
    """|u|² of every point, (n,), within a relative error of `slack`."""

    def cover(self, centres: Points) -> Index:
        """Lower the bounds to at least D² to `centres`, and at most a few `slack`s of |u|² + |c|² above it.

        Gives the rows whose bound is above 0, but so small that it may be mostly rounding.
        """

    def bound(self, rows: Index) -> Floats:
        """The bounds of `rows`."""

    def settle(self, rows: Index, squares: Floats) -> None:
        """Set the bounds of `rows` to these D², (n,), or hardly more."""

    def forget(self) -> None:
        """All bounds to infinity."""

    def total(self) -> float:
        """The sum of all bounds."""

    def top(self, count: int) -> tuple[Index, float]:
        """The `count` rows of the largest bounds, or all, and the largest bound of the others, else 0."""

    def due(self, radius: float | None, key: int, times: tuple[float, float]) -> Index:
        """Rows whose first number in the race may be due after times[0] (0: ever) and by times[1], and hardly more."""


def slack(factors: tuple[Factor, ...]) -> float:
    """ε with |fl(u·c) - u·c| ≤ ε |u| |c| for float32 products in any order of summation (Higham 2002, §3.1)."""
    return float(sum(factor.shape[1] for factor in factors) + 8) * 2.0**-24


def earliest(number: Floats, rate: Floats) -> Floats:
    """The time by which a first number is due at most: 1 - exp(-w t) ≤ w t, and 0 has the probability 2^-53."""
    return (number - 2.0**-53) / rate


class NumpyBackend:
    """Matrix products by BLAS over runs of rows that stay in the cache."""

    def __init__(self, points: Points) -> None:
        self._points, self._slack = points, slack(points.factors)
        self.squares: Steps = np.ones(len(points), dtype=np.float32)
        for factor in points.factors:
            self.squares *= self._squares(factor)
        self._bound: Steps = np.full(len(points), np.inf, dtype=np.float32)
        self._race: tuple[float | None, int] | None = None  # what `_when` was made for

    def _squares(self, factor: Steps) -> Steps:
        found: Steps = np.einsum("nc,nc->n", factor, factor)
        return found

    def cover(self, centres: Points) -> Index:
        """|u|²(1 + 2ε) + |c|²(1 + ε) - 2u·c, the least over centres, where it is below the bound."""
        self._race = None
        self._lower(CentresByNorm(centres))
        limit, near = np.float32(NEAR * self._slack), [np.zeros(0, dtype=np.int64)]
        for rows in _runs(len(self._bound), 1):
            bound = self._bound[rows]
            near.append(np.flatnonzero((bound > 0.0) & (bound <= limit * self.squares[rows])) + rows.start)
        found: Index = np.concatenate(near)
        return found

    def _lower(self, centres: CentresByNorm) -> None:
        if len(centres) < MANY_CENTRES:
            for rows in _runs(len(self._bound), len(centres)):
                self._lower_rows(rows, centres.points)
            return
        norms = np.sqrt(self.squares, dtype=np.float64)
        for start in range(0, len(norms), _NORM_RUN):
            run = self._order[start : start + _NORM_RUN]
            reach = np.sqrt(float(self._bound[run].max()))
            near = centres.between(norms[run[0]] - reach, norms[run[-1]] + reach)
            if len(near):
                self._lower_rows(run, near)

    def _lower_rows(self, rows: slice | Index, centres: Points) -> None:
        own, theirs = self._points.take(rows).factors, centres.narrow.factors
        products = own[0] @ (np.float32(-2.0) * theirs[0]).T
        for mine, other in zip(own[1:], theirs[1:], strict=True):
            products *= mine @ other.T
        products += (centres.squares * (1.0 + self._slack)).astype(np.float32)
        least = _least(products) + self.squares[rows] * np.float32(1.0 + 2.0 * self._slack)
        self._bound[rows] = np.minimum(self._bound[rows], least)

    @cached_property
    def _order(self) -> Index:
        return np.argsort(self.squares).astype(np.int32 if len(self.squares) < 1 << 31 else np.int64)

    def bound(self, rows: Index) -> Floats:
        """The bounds of `rows`."""
        return self._bound[rows].astype(np.float64)

    def settle(self, rows: Index, squares: Floats) -> None:
        """Set the bounds of `rows` to these D², or hardly more."""
        self._race, self._bound[rows] = None, squares * ROUNDED_UP

    def forget(self) -> None:
        """All bounds to infinity."""
        self._race, self._bound[:] = None, np.inf

    def total(self) -> float:
        """The sum of all bounds."""
        return float(self._bound.sum(dtype=np.float64))

    def top(self, count: int) -> tuple[Index, float]:
        """The `count` rows of the largest bounds, or all, and the largest bound of the others."""
        if count >= len(self._bound):
            return np.arange(len(self._bound)), 0.0
        order = np.argpartition(self._bound, len(self._bound) - count - 1)
        least = len(order) - count
        return order[least:], float(self._bound[order[least - 1]])

    def due(self, radius: float | None, key: int, times: tuple[float, float]) -> Index:
        """Rows whose first number is due in between, and perhaps a few at the ends."""
        if self._race != (radius, key):
            self._race, self._when = (radius, key), self._first_times(radius, key)
        low, high = times[0] / ROUNDED_UP, times[1] * ROUNDED_UP
        return np.flatnonzero((self._when <= high) & (self._when > low) if low else self._when <= high)

    def _first_times(self, radius: float | None, key: int) -> Steps:
        """For each point the time by which its first number may be due, (n,)."""
        when = np.empty_like(self._bound)
        with np.errstate(divide="ignore", invalid="ignore"):
            for rows in _runs(len(when), 1):
                number = uniform_keys(key, self._points.index[rows])
                when[rows] = earliest(number, self._rate(rows, radius))
        return when

    def _rate(self, rows: slice, radius: float | None) -> Floats:
        if radius is None:
            return self._bound[rows].astype(np.float64)
        return np.asarray(np.square(np.sqrt(self.squares[rows], dtype=np.float64) + radius), dtype=np.float64)


def _least(products: Steps) -> Steps:
    """The least of every row; numpy is slow along a short last axis."""
    if products.shape[1] < _SHORT:
        products = np.ascontiguousarray(products.T).T
    least: Steps = products.min(1)
    return least


def _runs(count: int, centres: int) -> list[slice]:
    step = max(256, min(_ROWS, _CELLS // max(centres, 1)))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]
