"""A shard's side of the race: its points, an upper bound of each one's rate, and the few that are due.

Whatever a question needs travels with it, so a shard that was restarted, or that answers several
selections in turn, only repeats the work of the last pass. Memory beyond the points: 16 bytes a point.
"""

from collections.abc import Callable, Sequence
from typing import Any

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
        self._points, self._slack = points, slack(points.factors)
        self._loops = (body or fastest(points))(points)
        self._covered = np.zeros(0, dtype=np.int64)
        self._centres: CentresByNorm | None = None

    def held(self) -> Points:
        """All of them."""
        return self._points

    def summary(self, first_key: int | None) -> PointsSummary:
        """Counts and sums, and the longest point (or, with a key, the one of the smallest hash); ties by index."""
        rows = self._longest() if first_key is None else self._by_hash(first_key, 1)
        return PointsSummary(Moments.of(self._loops.squares), self._points.take(rows))

    def weigh(self, standing: RateBasis) -> float:
        """The sum of D² bounds; zero if and only if every point lies on a centre."""
        self._stand(standing)
        return self._loops.total()

    def arrivals(self, standing: RateBasis, window: TimeWindow) -> DuePoints:
        """The points whose first arrival may lie in the window, and few others; with their rates."""
        self._stand(standing)
        overshoot = 1.0 + _OVERSHOOT + self._slack
        times = (window.low * overshoot, window.high * overshoot)
        rows = self._loops.due(standing.radius, window.key, times)
        points = self._points.take(rows)
        if standing.radius is not None:
            return DuePoints(points, np.square(np.sqrt(points.squares) + standing.radius))
        return DuePoints(points, self._squares_of(rows))

    def farthest(self, standing: RateBasis, count: int) -> FarthestPoints:
        """The `count` points of the largest bounds of D², with their D²."""
        self._stand(standing)
        rows, rest = self._loops.top(count)
        return FarthestPoints(self._points.take(rows), self._squares_of(rows), rest)

    def potential(self, standing: RateBasis) -> float:
        """Σ D² to the centres, in squared steps."""
        self._stand(standing)
        rows = np.arange(len(self._loops.squares), dtype=np.int64)
        parts = np.array_split(rows, 1 + len(rows) // _PART)
        return float(sum(self._squares_of(part).sum() for part in parts))

    def unordered(self, key: int, count: int) -> Index:
        """The `count` positions of the smallest hashes, or all there are."""
        return self._points.index[self._by_hash(key, count)]

    def _squares_of(self, rows: Index) -> Floats:
        """D² of `rows` to the standing's centres."""
        assert self._centres is not None  # made for this standing
        return nearest(self._points.take(rows), self._centres, self._loops.bound(rows))

    def _stand(self, standing: RateBasis) -> None:
        """Bring the bounds to the standing's centres; only those added since the last pass cost anything."""
        if standing.radius is not None:
            return
        done, centres = len(self._covered), standing.centres
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
            self._loops.settle(rows, nearest(self._points.take(rows), ordered, self._loops.bound(rows)))

    def _longest(self) -> Index:
        squares = self._loops.squares
        if not len(squares):
            return np.zeros(0, dtype=np.int64)
        rows = np.flatnonzero(squares >= squares.max() * np.float32(1.0 - 4.0 * self._slack))
        exact = squared_norms(self._points.take(rows).exact)
        return rows[np.lexsort((self._points.index[rows], -exact))][:1]

    def _by_hash(self, key: int, count: int) -> Index:
        number = uniform_keys(key, self._points.index)
        return np.lexsort((self._points.index, number))[:count]


class LocalPool:
    """A pool whose points are all in this process, in one or several shards."""

    restarts = 0

    def __init__(self, *shards: ShardRows) -> None:
        self._shards = shards

    def ask(self, method: str, *args: Any) -> Sequence[Any]:  # Any: the method's
        """`ShardRows.method(*args)` of every shard."""
        return [getattr(shard, method)(*args) for shard in self._shards]
