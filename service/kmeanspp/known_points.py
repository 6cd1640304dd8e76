"""The points that shards have sent since the last checkpoint, and the times at which they arrive."""

from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.arrival_times import exponentials, marks
from negsift.service.kmeanspp.messages import DuePoints
from negsift.service.kmeanspp.points import Points

_CELLS = 1 << 20


@dataclass(frozen=True)
class Arrivals:
    """In order of time: the row of each among the known points, and its mark, (b,)."""

    row: Index
    mark: Floats

    def take(self, run: slice) -> "Arrivals":
        """Some in a row."""
        return Arrivals(self.row[run], self.mark[run])

    def __len__(self) -> int:
        return len(self.row)


class KnownPoints:
    """Points in the order in which they came, their rates, and how far each one's clock has run."""

    def __init__(self, key: int, like: Points) -> None:
        self.points = like.take(slice(0))
        self.rate = np.zeros(0)
        self._key, self._clock = key, np.zeros(0)
        self._count = np.zeros(0, dtype=np.int64)

    def add(self, due: DuePoints) -> None:
        """More points, but those that came before; those of rate 0 never arrive."""
        new = np.flatnonzero((due.rate > 0.0) & ~np.isin(due.points.index, self.points.index, assume_unique=True))
        points, zeros = due.points.take(new), np.zeros(len(new), dtype=np.int64)
        self.points = self.points.append(points)
        self.rate = np.concatenate([self.rate, due.rate[new]])
        self._clock = np.concatenate([self._clock, exponentials(self._key, points.index, zeros)])
        self._count = np.concatenate([self._count, zeros])

    def until(self, time: float) -> Arrivals:
        """All arrivals up to `time` that were not given before, by time, position and count."""
        found = [(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64))]
        turns, running = 1, np.flatnonzero(self._clock <= time * self.rate)
        while len(running):
            found.append(self._advance(running, turns, time))
            running = running[self._clock[running] <= time * self.rate[running]]
            turns = max(1, min(2 * turns, _CELLS // max(len(running), 1)))
        row, times, count = (np.concatenate(parts) for parts in zip(*found, strict=True))
        position = self.points.index[row]
        order = np.lexsort((count, position, times))
        return Arrivals(row[order], marks(self._key, position[order], count[order]))

    def _advance(self, rows: Index, turns: int, time: float) -> tuple[Index, Floats, Index]:
        """The row, time and count of each one's next arrivals up to `time`, at most `turns`; their clocks go on."""
        count = self._count[rows, None] + np.arange(turns)
        waits = exponentials(self._key, self.points.index[rows, None], count + 1)
        clock = np.cumsum(np.concatenate([self._clock[rows, None], waits], axis=1), axis=1)
        due = clock[:, :turns] <= time * self.rate[rows, None]
        done = due.sum(1)
        self._count[rows] += done
        self._clock[rows] = clock[np.arange(len(rows)), done]
        which, turn = np.nonzero(due)
        return rows[which], clock[which, turn] / self.rate[rows[which]], count[which, turn]
