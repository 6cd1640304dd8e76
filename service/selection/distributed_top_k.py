"""The best k of all shards without each of them sending k: samples of theirs first, then what beats a floor.

Of S shards each has about k/S of the best k, give or take √(k/S) where bags lie at random. All send that
much first, and of the rest of their own best k every so-manieth, which stands for those before it. From
these the coordinator knows a bag that at least k - 1 others beat, and asks for all that do.
"""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from negsift.common.account import Traffic
from negsift.common.arrays import Index
from negsift.common.types import Candidates, Picked, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.top_k import merge

if TYPE_CHECKING:
    from negsift.service.fleet.local import Fleet

_ROW_BYTES = 24
"""A row's score, index and weight."""
_AT_ONCE = 1 << 16
"""Rows that all shards together send without being asked twice."""
_SPARE = 4.0
_MARKS = 64


@dataclass(frozen=True)
class TopKSample:
    """Some of a shard's best, best first; each stands for `weight` (n,): itself and those left out before it."""

    rows: Candidates
    weight: Index


@dataclass(frozen=True)
class TopKRequest:
    """What a shard sends of its best k: the `first` and marks of the rest or, given a `floor` (score, index), it and
    all above. `token` names the question that both belong to, so that the scores are made once.
    """

    token: str
    first: int
    floor: tuple[float, int] | None = None

    def of(self, best: Candidates) -> TopKSample:
        """That part; the counts stay those of all."""
        ranks = self._marks(len(best.index)) if self.floor is None else np.flatnonzero(_beats(best, self.floor))
        rows = Candidates(best.index[ranks], best.score[ranks], best.seen, best.dropped)
        return TopKSample(rows, np.diff(ranks, prepend=-1))

    def _marks(self, count: int) -> Index:
        first = min(self.first, count)
        rest = np.linspace(count - 1, first, min(_MARKS, count - first)).astype(np.int64)[::-1]
        return np.concatenate([np.arange(first), rest])


def distributed_top_k(fleet: "Fleet", published: Any, wanted: tuple[Strategy, Prepared], round: Round) -> Picked:
    """The k bags of the highest scores on all shards; `published` is the fleet's."""
    portion = TopKRequest(uuid.uuid4().hex, first_share(round.k, fleet.shards))
    samples: Sequence[TopKSample] = fleet.ask("candidates", published, *wanted, round, portion)
    found, sent, rounds = merge((sample.rows for sample in samples), round.k), _rows(samples), 1
    floor = _floor(samples, round.k)
    if any(_lacks(sample, floor) for sample in samples):
        more: Sequence[TopKSample] = fleet.ask("candidates", published, *wanted, round, replace(portion, floor=floor))
        known = np.sort(found.index)
        whole = merge([found, *(_without(sample.rows, known) for sample in more)], round.k)
        found = replace(whole, seen=found.seen, dropped=found.dropped)
        sent, rounds = sent + _rows(more), 2
    return Picked(found, traffic=Traffic(rounds, 0, sent, _ROW_BYTES * sent))


def first_share(k: int, shards: int) -> int:
    """How many each shard sends at first."""
    if k * shards <= _AT_ONCE:
        return k
    share = k / shards
    return min(k, max(1, math.ceil(share + _SPARE * math.sqrt(share))))


def _floor(samples: Sequence[TopKSample], k: int) -> tuple[float, int]:
    """A row that k rows beat or are; below everything if there are fewer."""
    score, index, weight = (
        np.concatenate(parts)
        for parts in zip(*((each.rows.score, each.rows.index, each.weight) for each in samples), strict=True)
    )
    order = np.lexsort((index, -score))
    at = int(np.searchsorted(np.cumsum(weight[order]), k))
    return (float(score[order[at]]), int(index[order[at]])) if at < len(order) else (-math.inf, 0)


def _lacks(sample: TopKSample, floor: tuple[float, int]) -> bool:
    """Whether some of those left out may beat the floor: the row before them does, or there is none."""
    before = np.concatenate([[True], _beats(sample.rows, floor)[:-1]])[: len(sample.weight)]
    return bool((before & (sample.weight > 1)).any())


def _beats(rows: Candidates, floor: tuple[float, int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    score, index = floor
    return np.asarray((rows.score > score) | ((rows.score == score) & (rows.index <= index)), dtype=np.bool_)


def _without(rows: Candidates, known: Index) -> Candidates:
    """The rows whose index is not `known`, ascending."""
    at = np.searchsorted(known, rows.index)
    new = known[np.minimum(at, len(known) - 1)] != rows.index if len(known) else np.ones(len(at), dtype=np.bool_)
    return Candidates(rows.index[new], rows.score[new], rows.seen, rows.dropped)


def _rows(samples: Sequence[TopKSample]) -> int:
    return sum(len(sample.weight) for sample in samples)
