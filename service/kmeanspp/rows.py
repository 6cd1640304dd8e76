"""A shard's side of the race: its points, an upper bound of each one's rate, and the few that are due.

Whatever a question needs travels with it, so a shard that was restarted, or that answers several
selections in turn, only repeats the work of the last pass. Memory beyond the points: 16 bytes a point.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.rng import uniform_keys
from common.types import Index
from service.kmeanspp.kernels import Body, NumpyBody, slack
from service.kmeanspp.messages import Standing, Summary, Window
from service.kmeanspp.points import Points, Steps, nearest, squared_norms

_OVERSHOOT = 1e-3


class Rows:
    """The points of one shard."""

    def __init__(self, points: Points, body: Body | None = None) -> None:
        self._points, self._body = points, body or NumpyBody()
        self._squares = self._body.squares(points.factors)
        self._bound = np.full(len(points), np.inf, dtype=np.float32)
        self._covered = np.zeros(0, dtype=np.int64)

    def summary(self, first_key: int | None) -> Summary:
        """Counts and sums, and the longest point (or, with a key, the one of the smallest hash); ties by index."""
        rows = self._longest() if first_key is None else self._by_hash(first_key, 1)
        norms = np.sqrt(self._squares, dtype=np.float64)
        return Summary(len(norms), float(norms.sum()), float(norms @ norms), self._points.take(rows))

    def weigh(self, standing: Standing) -> float:
        """The sum of all rates, at least; zero if and only if every point lies on a centre."""
        return float(self._rates(standing).sum(dtype=np.float64))

    def arrivals(self, standing: Standing, window: Window) -> Points:
        """The points whose first arrival may lie in the window, and few others."""
        rates = self._rates(standing)
        times = (window.low * self._overshoot, window.high * self._overshoot)
        return self._points.take(self._body.due(self._points.index, rates, window.key, times))

    def unordered(self, key: int, count: int) -> Index:
        """The `count` positions of the smallest hashes, or all there are."""
        return self._points.index[self._by_hash(key, count)]

    @property
    def _overshoot(self) -> float:
        return 1.0 + _OVERSHOOT + slack(self._points.factors)

    def _rates(self, standing: Standing) -> Steps:
        if standing.radius is not None:
            rates: Steps = np.square(np.sqrt(self._squares) + np.float32(standing.radius))
            return rates
        done = len(self._covered)
        if not np.array_equal(standing.centres.index[:done], self._covered):
            self._bound[:], done = np.inf, 0
        new = standing.centres.take(np.arange(done, len(standing.centres)))
        if len(new):
            self._body.cover(self._points.factors, self._squares, new, self._bound)
            self._settle_zeros(new)
            self._covered = standing.centres.index
        return self._bound

    def _settle_zeros(self, centres: Points) -> None:
        """Set to 0 the bounds of points that lie on a centre; float32 can't tell them from very near ones."""
        near = np.flatnonzero(self._bound <= np.float32(16.0 * slack(self._points.factors)) * self._squares)
        for rows in np.array_split(near, max(1, len(near) * len(centres) >> 20)):
            distance = nearest(self._points.take(rows), centres)
            self._bound[rows[distance == 0.0]] = 0.0

    def _longest(self) -> Index:
        if not len(self._squares):
            return np.zeros(0, dtype=np.int64)
        rows = np.flatnonzero(
            self._squares >= self._squares.max() * np.float32(1.0 - 4.0 * slack(self._points.factors))
        )
        exact = squared_norms(self._points.take(rows).exact)
        return rows[np.lexsort((self._points.index[rows], -exact))][:1]

    def _by_hash(self, key: int, count: int) -> Index:
        number = uniform_keys(key, self._points.index)
        return np.lexsort((self._points.index, number))[:count]


class HeldRows:
    """A pool whose points are all in this process, in one or several shards."""

    restarts = 0

    def __init__(self, *shards: Rows) -> None:
        self._shards = shards

    def ask(self, method: str, *args: Any) -> Sequence[Any]:  # Any: the method's
        """`Rows.method(*args)` of every shard."""
        return [getattr(shard, method)(*args) for shard in self._shards]
