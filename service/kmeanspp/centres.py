"""The centres chosen so far."""

from collections.abc import Sequence

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.points import Points


class Centres:
    """Centres in the order chosen, in arrays with room for all of the `capacity` to be chosen."""

    def __init__(self, first: Points, capacity: int) -> None:
        self.index = np.zeros(capacity, dtype=np.int64)
        self.scores, self.squares = np.zeros(capacity), np.zeros(capacity)
        self._factors = tuple(np.zeros((capacity, factor.shape[1])) for factor in first.factors)
        self.count, self.capacity = 0, capacity
        self.add(first, first.squares)

    @property
    def missing(self) -> int:
        """How many are to be chosen still."""
        return self.capacity - self.count

    def add(self, points: Points, scores: Sequence[float] | Floats) -> None:
        """Append points; their scores are their squared distances to the centres before them."""
        run = slice(self.count, self.count + len(points))
        self.index[run], self.scores[run], self.squares[run] = points.index, scores, points.squares
        for own, added in zip(self._factors, points.factors, strict=True):
            own[run] = added
        self.count += len(points)

    @property
    def rows(self) -> Floats:
        """The first factor, (capacity, c)."""
        return self._factors[0]

    def note(self, index: Index, scores: Floats) -> None:
        """Append points whose rows and squared norms were written already."""
        run = slice(self.count, self.count + len(index))
        self.index[run], self.scores[run] = index, scores
        self.count += len(index)

    def since(self, start: int) -> Points:
        """The centres from number `start` on, as float64."""
        run = slice(start, self.count)
        points = Points(self.index[run], tuple(factor[run] for factor in self._factors))
        return points.with_squares(self.squares[run])
