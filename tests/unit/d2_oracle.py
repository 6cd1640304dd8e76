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
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.sketch import find_directions
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
    sketches: int = 0
    start: int = 0
    arrivals: int = 0
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
        basis, checkpoint, by_sketch = self.basis(), 0, True
        while len(self.chosen) < room:
            checkpoint += 1
            rates = self.bounds(basis) if by_sketch else [float(gap) for gap in self.nearest]
            if not any(rates):
                break
            by_sketch = self.stretch(checkpoint, rates, room, by_sketch)
        key = stream_key(self.seed, "badge-fill", self.epoch)
        free = [i for i in range(len(self.rows)) if i not in self.chosen]
        free.sort(key=lambda i: (splitmix64(key, self.index[i]), self.index[i]))
        drawn = len(self.chosen)
        return (self.chosen + free)[:room], room - drawn

    def basis(self) -> np.ndarray:
        """An orthonormal basis, (r, c), of the directions that a sample gives."""
        key = stream_key(self.seed, "badge-sample", self.epoch)
        sample = sorted(range(len(self.rows)), key=lambda i: (splitmix64(key, self.index[i]), self.index[i]))[:128]
        rows = self.points[sample].astype(np.float32)
        directions = find_directions(Points(np.array(sample), (rows,))).factors[0].astype(np.float64)
        return np.linalg.qr(directions.T)[0].T if len(directions) else directions

    def bounds(self, basis: np.ndarray) -> list[float]:
        """The largest D² that points can have by their coordinates and their distances from the basis's span."""
        points = self.points.astype(np.float64)
        along = points @ basis.T
        slack = 2.0**-46 * (points**2).sum(1)
        across = np.sqrt(((points - along @ basis) ** 2).sum(1) + slack)
        gaps = ((along[:, None] - along[self.chosen]) ** 2).sum(2) + (across[:, None] + across[self.chosen]) ** 2
        gaps += slack[:, None] + slack[self.chosen]
        found: list[float] = gaps.min(1).tolist()
        return found

    def stretch(self, checkpoint: int, rates: Sequence[float], room: int, by_sketch: bool) -> bool:
        """From one checkpoint to the next; gives whether that one takes its rates from sketches."""
        key = stream_key(self.seed, f"badge-{checkpoint}", self.epoch)
        if not by_sketch:
            self.start, self.arrivals, self.passes = len(self.chosen), 0, self.passes + 1
        self.sketches += by_sketch
        count = fresh = len(self.chosen)
        began, seen, look = self.arrivals, (count, self.arrivals), next_look(count, by_sketch)
        clocks = [(self.spell(key, i, 0) / rate, self.index[i], 0, i) for i, rate in enumerate(rates) if rate > 0.0]
        heapq.heapify(clocks)
        total = [self.spell(key, i, 0) for i in range(len(rates))]
        while True:
            count = len(self.chosen)
            by_pass, again = self.cost(count - self.start), self.cost_of_sketches(count - fresh)
            if (by_sketch or count > self.start) and self.arrivals >= by_pass / (count + 512) + 64:
                return False
            if by_sketch and count >= 2 * fresh and self.arrivals - began >= again / (count + 512) + 512:
                return True
            _, position, turn, i = heapq.heappop(clocks)
            total[i] += self.spell(key, i, turn + 1)
            heapq.heappush(clocks, (total[i] / rates[i], position, turn + 1, i))
            self.arrivals += 1
            if number(key, position, 2 * turn + 1) * rates[i] >= self.nearest[i]:
                continue
            self.choose(i)
            count += 1
            if count == room:
                return False
            if count >= look:
                saved = (self.arrivals - seen[1]) / (count - seen[0]) - (1.25 if by_sketch else 2.0)
                saved *= (room - count) * ((count + room) / 2 + 512)
                by_pass, again = self.cost(count - self.start), self.cost_of_sketches(count - fresh) + 300_000
                if by_sketch and count >= 2 * fresh and again < by_pass:
                    if saved > again:
                        return True
                elif saved > by_pass:
                    return False
                seen, look = (count, self.arrivals), next_look(count, by_sketch)

    def cost(self, centres: int) -> float:
        """Of a pass, in distances."""
        return len(self.rows) * (centres + 16)

    def cost_of_sketches(self, centres: int) -> float:
        """Of rates from sketches of so many more centres."""
        return len(self.rows) * (centres / 12 + 1.0)

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


def next_look(count: int, by_sketch: bool) -> int:
    """The number of centres at which it is asked next whether a pass would pay."""
    later = max(count + 4, int(1.25 * count))
    return min(16, later) if by_sketch and count < 16 else later


def number(key: int, position: int, turn: int) -> float:
    """A position's `turn`-th number."""
    return splitmix64((key + turn * _TURN) % _WORD, position)
