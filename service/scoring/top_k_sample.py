"""What a shard sends of its best k bags: the first ones and marks of the rest, or all above a floor."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Index
from negsift.common.types import Candidates

MARKS = 64
"""Rows by which a shard says how the rest of its best k lie, at most."""

Floor = tuple[float, int]
"""The score and index of a row that is to be reached."""


@dataclass(frozen=True)
class TopKSample:
    """Some of a shard's best rows, best first. Each stands for `weight` (n,) rows: itself and those left out before."""

    rows: Candidates
    weight: Index

    def may_lack(self, floor: Floor) -> bool:
        """Whether rows left out may reach the floor: the row before them does, or there is none before them."""
        before = np.concatenate([[True], reaches(self.rows, floor)[:-1]])[: len(self.weight)]
        return bool((before & (self.weight > 1)).any())


@dataclass(frozen=True)
class TopKRequest:
    """The `first` rows and up to 64 marks of the rest or, given a `floor`, every row that reaches it.

    `token` names the selection that both requests belong to, so that a shard scores its bags once.
    """

    token: str
    first: int
    floor: Floor | None = None

    def of(self, best: Candidates) -> TopKSample:
        """The rows of `best` asked for; the counts stay those of all."""
        ranks = self._ranks(len(best.index)) if self.floor is None else np.flatnonzero(reaches(best, self.floor))
        rows = replace(best, index=best.index[ranks], score=best.score[ranks])
        return TopKSample(rows, np.diff(ranks, prepend=-1))

    def _ranks(self, count: int) -> Index:
        first = min(self.first, count)
        marks = np.linspace(count - 1, first, min(MARKS, count - first)).astype(np.int64)[::-1]
        return np.concatenate([np.arange(first), marks])


def reaches(rows: Candidates, floor: Floor) -> NDArray[np.bool_]:
    """Whether a row has a larger score than the floor, or the same and no larger index, (n,)."""
    score, index = floor
    return np.asarray((rows.score > score) | ((rows.score == score) & (rows.index <= index)), dtype=np.bool_)
