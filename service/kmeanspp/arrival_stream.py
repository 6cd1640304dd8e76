"""The arrivals of one phase in the order of time, from the points that shards have sent in it.

Axes: n points, a arrivals, t arrivals of a point.
"""

from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.hashed_times import exponentials, marks
from negsift.service.kmeanspp.messages import RatedPoints
from negsift.service.kmeanspp.points import Points

_MOST_CELLS = 1 << 20  # of an array (n, t): 8 MiB


@dataclass(frozen=True)
class Arrivals:
    """In the order of time: the row of each arrival's point in its stream, and its mark, (a,)."""

    row: Index
    mark: Floats

    def take(self, run: slice) -> "Arrivals":
        """A run of consecutive arrivals."""
        return Arrivals(self.row[run], self.mark[run])

    def __len__(self) -> int:
        return len(self.row)


class ArrivalStream:
    """A Poisson process for each point received, with everything scaled by the point's rate.

    Scaled times (time · rate) are sums of hashed standard exponentials, so they don't depend on the rate.
    """

    def __init__(self, key: int, like: Points) -> None:
        """An empty stream of points with factors as those of `like`; `key` is the phase's."""
        self.points = like.take(slice(0))
        self.rate = np.zeros(0)
        self._key, self._next_scaled = key, np.zeros(0)  # each point's next arrival
        self._count = np.zeros(0, dtype=np.int64)  # arrivals of each point so far

    def add(self, rated: RatedPoints) -> None:
        """Add the points that are not in the stream yet; points of rate 0 never arrive and are left out."""
        fresh = ~np.isin(rated.points.index, self.points.index, assume_unique=True)
        rows = np.flatnonzero((rated.rate > 0.0) & fresh)
        points, zeros = rated.points.take(rows), np.zeros(len(rows), dtype=np.int64)
        self.points = self.points.append(points)
        self.rate = np.concatenate([self.rate, rated.rate[rows]])
        self._next_scaled = np.concatenate([self._next_scaled, exponentials(self._key, points.index, zeros)])
        self._count = np.concatenate([self._count, zeros])

    def until(self, time: float) -> Arrivals:
        """The arrivals after the last call's `time` and up to this one, sorted by time, position and count."""
        parts = [(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64))]
        width, rows = 1, np.flatnonzero(self._next_scaled <= time * self.rate)
        while len(rows):
            parts.append(self._advance(rows, width, time))
            rows = rows[self._next_scaled[rows] <= time * self.rate[rows]]
            width = max(1, min(2 * width, _MOST_CELLS // max(len(rows), 1)))
        row, times, count = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        position = self.points.index[row]
        order = np.lexsort((count, position, times))
        return Arrivals(row[order], marks(self._key, position[order], count[order]))

    def _advance(self, rows: Index, width: int, time: float) -> tuple[Index, Floats, Index]:
        """Rows, times and counts of the next arrivals of `rows` up to `time`, at most `width` of each point."""
        count_nt = self._count[rows, None] + np.arange(width)
        waits_nt = exponentials(self._key, self.points.index[rows, None], count_nt + 1)
        scaled_nt = np.cumsum(np.concatenate([self._next_scaled[rows, None], waits_nt], axis=1), axis=1)
        arrived_nt = scaled_nt[:, :width] <= time * self.rate[rows, None]
        arrived_n = arrived_nt.sum(1)
        self._count[rows] += arrived_n
        self._next_scaled[rows] = scaled_nt[np.arange(len(rows)), arrived_n]
        n, t = np.nonzero(arrived_nt)
        return rows[n], scaled_nt[n, t] / self.rate[rows[n]], count_nt[n, t]
