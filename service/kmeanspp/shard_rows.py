"""A shard's side of the race: its points, an upper bound of each one's rate, and the few that are due.

Whatever a question needs travels with it, so a shard that was restarted, or that answers several
selections in turn, only repeats the work of the last pass. Memory beyond the points: 16 bytes a point.
"""

from collections.abc import Callable

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.rng import uniform_keys
from negsift.service.kmeanspp.backends import pays
from negsift.service.kmeanspp.messages import DuePoints, FarthestPoints, Moments, PointsSummary, RateBasis, TimeWindow
from negsift.service.kmeanspp.nearest import CentresByNorm, nearest
from negsift.service.kmeanspp.numpy_backend import NumpyBackend, PointBackend, slack
from negsift.service.kmeanspp.points import Points, squared_norms

_OVERSHOOT = 1e-3
_CELLS, _PART = 1 << 22, 1 << 16


BackendFactory = Callable[[Points], PointBackend]


def fastest(points: Points) -> BackendFactory:
    """The body that suits such points."""
    if not pays(points):
        return NumpyBackend
    from negsift.service.kmeanspp.numba_backend import (
        NumbaBackend,  # imported here: numba is optional, and slow to load
    )

    return NumbaBackend


class ShardRows:
    """The points of one shard."""

    def __init__(self, points: Points, body: BackendFactory | None = None) -> None:
        self.points, self._slack = points, slack(points.factors)
        self._loops = (body or fastest(points))(points)
        self._covered = np.zeros(0, dtype=np.int64)
        self._centres: CentresByNorm | None = None

    def summarize(self, first_key: int | None) -> PointsSummary:
        """Counts and sums, and the longest point (or, with a key, the one of the smallest hash); ties by index."""
        rows = self._longest() if first_key is None else self._by_hash(first_key, 1)
        return PointsSummary(Moments.of(self._loops.squares), self.points.take(rows))

    def sum_bounds(self, basis: RateBasis) -> float:
        """The sum of D² bounds; zero if and only if every point lies on a centre."""
        self._lower_bounds(basis)
        return self._loops.total()

    def find_arrivals(self, basis: RateBasis, window: TimeWindow) -> DuePoints:
        """The points whose first arrival may lie in the window, and few others; with their rates."""
        self._lower_bounds(basis)
        overshoot = 1.0 + _OVERSHOOT + self._slack
        times = (window.low * overshoot, window.high * overshoot)
        rows = self._loops.due(basis.radius, window.key, times)
        points = self.points.take(rows)
        if basis.radius is not None:
            return DuePoints(points, np.square(np.sqrt(points.squares) + basis.radius))
        return DuePoints(points, self._squares_of(rows))

    def find_farthest(self, basis: RateBasis, count: int) -> FarthestPoints:
        """The `count` points of the largest bounds of D², with their D²."""
        self._lower_bounds(basis)
        rows, rest = self._loops.top(count)
        return FarthestPoints(self.points.take(rows), self._squares_of(rows), rest)

    def sum_squares(self, basis: RateBasis) -> float:
        """Σ D² to the centres, in squared steps."""
        self._lower_bounds(basis)
        rows = np.arange(len(self._loops.squares), dtype=np.int64)
        parts = np.array_split(rows, 1 + len(rows) // _PART)
        return float(sum(self._squares_of(part).sum() for part in parts))

    def smallest_hashes(self, key: int, count: int) -> Index:
        """The `count` positions of the smallest hashes, or all there are."""
        return self.points.index[self._by_hash(key, count)]

    def _squares_of(self, rows: Index) -> Floats:
        """D² of `rows` to the basis's centres."""
        assert self._centres is not None  # made for this basis
        return nearest(self.points.take(rows), self._centres, self._loops.bound(rows))

    def _lower_bounds(self, basis: RateBasis) -> None:
        """Bring the bounds to the basis's centres; only those added since the last pass cost anything."""
        if basis.radius is not None:
            return
        done, centres = len(self._covered), basis.centres
        if self._centres is not None and np.array_equal(centres.index, self._covered):
            return
        if not np.array_equal(centres.index[:done], self._covered):
            self._loops.forget()
            done = 0
        new = centres.take(slice(done, None))
        self._settle(self._loops.cover(new), new)
        self._covered, self._centres = centres.index, CentresByNorm(centres)

    def _settle(self, near: Index, centres: Points) -> None:
        """Replace bounds that may be mostly rounding by D²: else points near a centre seem to arrive far too often."""
        ordered = CentresByNorm(centres)
        for rows in np.array_split(near, 1 + len(near) * len(centres) // _CELLS):
            self._loops.settle(rows, nearest(self.points.take(rows), ordered, self._loops.bound(rows)))

    def _longest(self) -> Index:
        squares = self._loops.squares
        if not len(squares):
            return np.zeros(0, dtype=np.int64)
        rows = np.flatnonzero(squares >= squares.max() * np.float32(1.0 - 4.0 * self._slack))
        exact = squared_norms(self.points.take(rows).exact)
        return rows[np.lexsort((self.points.index[rows], -exact))][:1]

    def _by_hash(self, key: int, count: int) -> Index:
        number = uniform_keys(key, self.points.index)
        return np.lexsort((self.points.index, number))[:count]
