"""The points that shards have sent since the last checkpoint, and the times at which they arrive."""

from dataclasses import dataclass

import numpy as np

from common.types import Floats, Index
from service.kmeanspp.clock import exponentials, marks
from service.kmeanspp.messages import Due
from service.kmeanspp.points import Points


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


class Known:
    """Points in the order in which they came, their rates, and how far each one's clock has run."""

    def __init__(self, key: int, like: Points) -> None:
        self.points = like.take(slice(0))
        self.rate = np.zeros(0)
        self._key, self._clock = key, np.zeros(0)
        self._count = np.zeros(0, dtype=np.int64)

    def add(self, due: Due) -> None:
        """More points, but those that came before; those of rate 0 never arrive."""
        new = np.flatnonzero(~np.isin(due.points.index, self.points.index))
        points, zeros = due.points.take(new), np.zeros(len(new), dtype=np.int64)
        self.points = self.points.append(points)
        self.rate = np.concatenate([self.rate, due.rate[new]])
        self._clock = np.concatenate([self._clock, exponentials(self._key, points.index, zeros)])
        self._count = np.concatenate([self._count, zeros])

    def until(self, time: float) -> Arrivals:
        """All arrivals up to `time` that were not given before, by time, position and count."""
        rows, times, counts = [], [], []
        with np.errstate(divide="ignore", invalid="ignore"):
            running = np.flatnonzero((self.rate > 0.0) & (self._clock / self.rate <= time))
            while len(running):
                rows.append(running)
                times.append(self._clock[running] / self.rate[running])
                counts.append(self._count[running])
                self._count[running] += 1
                self._clock[running] += exponentials(self._key, self.points.index[running], self._count[running])
                running = running[self._clock[running] / self.rate[running] <= time]
        if not rows:
            return Arrivals(np.zeros(0, dtype=np.int64), np.zeros(0))
        row, count = np.concatenate(rows), np.concatenate(counts)
        position = self.points.index[row]
        order = np.lexsort((count, position, np.concatenate(times)))
        return Arrivals(row[order], marks(self._key, position[order], count[order]))
