"""D² sampling by Poisson processes as service/kmeanspp does it, one arrival at a time over all points, in whole numbers where it matters.

Written from the rules, not from the code: every point's clock is in one heap, D² is kept for all points,
nothing is skipped, bounded or sent.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from negsift.common.rng import stream_key
from tests.unit.common.test_rng import splitmix64

Rows = Sequence[Sequence[int]]
_TURN, _WORD = 0xC2B2AE3D27D4EB4F, 1 << 64


@dataclass
class Oracle:
    """`rows` are points in whole steps at positions `index`; `run` gives rows in the order drawn, and how many fill."""

    rows: Rows
    index: Sequence[int]
    wanted: int
    seed: int = 0
    epoch: int = 0
    passes: int = 0
    chosen: list[int] = field(default_factory=list)
    nearest: list[float] = field(default_factory=list)
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))

    def run(self) -> tuple[list[int], int]:
        self.points = np.array(self.rows, dtype=np.int64).reshape(len(self.rows), -1)
        norms = self.squares(0)
        room = min(self.wanted, len(self.rows))
        if not room:
            return [], 0
        self.nearest = [math.inf] * len(self.rows)
        self.choose(min(range(len(self.rows)), key=lambda i: (-norms[i], self.index[i])))
        checkpoint, by_norm = 0, True
        while len(self.chosen) < room:
            checkpoint += 1
            rates = [float(gap) for gap in self.nearest]
            if by_norm:
                radius = math.sqrt(min(norms[i] for i in self.chosen))
                rates = [(math.sqrt(norm) + radius) ** 2 for norm in norms]
            if not any(rates):
                break
            by_norm = self.stretch(checkpoint, rates, room, norms if by_norm else None)
        key = stream_key(self.seed, "badge-fill", self.epoch)
        free = [i for i in range(len(self.rows)) if i not in self.chosen]
        free.sort(key=lambda i: (splitmix64(key, self.index[i]), self.index[i]))
        drawn = len(self.chosen)
        return (self.chosen + free)[:room], room - drawn

    def stretch(self, checkpoint: int, rates: Sequence[float], room: int, norms: Sequence[int] | None) -> bool:
        """From one checkpoint to the next; gives whether that one takes its rates from norms again."""
        key = stream_key(self.seed, f"badge-{checkpoint}", self.epoch)
        start = len(self.chosen) if norms is None else 0
        radius = min((norms[i] for i in self.chosen), default=0) if norms else 0
        self.passes += norms is None
        seen, arrivals, look = (len(self.chosen), 0), 0, next_look(len(self.chosen), norms is not None)
        clocks = [(self.spell(key, i, 0) / rate, self.index[i], 0, i) for i, rate in enumerate(rates) if rate > 0.0]
        heapq.heapify(clocks)
        total = [self.spell(key, i, 0) for i in range(len(rates))]
        while True:
            count = len(self.chosen)
            cost = len(self.rows) * (count - start + 16)
            if (norms or count > start) and arrivals >= cost / (count + 512) + 64:
                return False
            _, position, turn, i = heapq.heappop(clocks)
            total[i] += self.spell(key, i, turn + 1)
            heapq.heappush(clocks, (total[i] / rates[i], position, turn + 1, i))
            arrivals += 1
            if number(key, position, 2 * turn + 1) * rates[i] >= self.nearest[i]:
                continue
            self.choose(i)
            count += 1
            if count == room:
                return False
            if count >= look:
                saved = (arrivals - seen[1]) / (count - seen[0]) - (1.25 if norms else 2.0)
                cost = len(self.rows) * (count - start + 16)
                if (room - count) * saved * ((count + room) / 2 + 512) > cost:
                    return False
                seen, look = (count, arrivals), next_look(count, norms is not None)
            if norms and norms[i] * 1.5**2 < radius:
                return True

    def choose(self, row: int) -> None:
        self.chosen.append(row)
        self.nearest = [min(pair) for pair in zip(self.nearest, self.squares(self.points[row]), strict=True)]

    def spell(self, key: int, row: int, turn: int) -> float:
        """The exponential between an arrival and the one before."""
        return -math.log(1.0 - number(key, self.index[row], 2 * turn) + 2.0**-53)

    def squares(self, centre: np.ndarray | int) -> list[int]:
        """The squared distance of every point; below 2^63, as coordinates are at most 2^20 and 20,000 columns less."""
        squares: list[int] = ((self.points - centre) ** 2).sum(1).tolist()
        return squares


def next_look(count: int, by_norm: bool) -> int:
    """The number of centres at which it is asked next whether a pass would pay."""
    later = max(count + 4, int(1.25 * count))
    return min(16, later) if by_norm and count < 16 else later


def number(key: int, position: int, turn: int) -> float:
    """A position's `turn`-th number."""
    return splitmix64((key + turn * _TURN) % _WORD, position)
