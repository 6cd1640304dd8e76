"""The best k bags of all shards without every shard sending k: samples first, then only what beats a floor.

Of S shards each has about k/S of the best k, give or take √(k/S) where bags are spread at random. Each shard
first sends its top ⌈k/S + 4√(k/S)⌉ rows, plus every n-th remaining row as a quantile marker. From these the
coordinator knows a row that at least k - 1 others beat, and asks for all rows that reach it.
"""

import math
import uuid
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from negsift.common.account import Traffic
from negsift.common.arrays import Index
from negsift.common.types import Candidates, Picked, Round
from negsift.service.scoring.requests import Fleet, TopK
from negsift.service.scoring.top_k_sample import Floor, TopKRequest, TopKSample
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.top_k import merge

ROW_BYTES = 24
"""A row's score, index and weight."""
_AT_ONCE = 1 << 16
"""Rows of all shards together up to which every shard sends its best k at once: a second request costs more."""
_SPARE = 4.0


def distributed_top_k(fleet: Fleet, strategy: Strategy, prepared: Prepared, round: Round) -> Picked:
    """The `round.most` bags of the highest scores on all shards, best first."""
    first = TopKRequest(uuid.uuid4().hex, first_rows(round.most, fleet.shards))
    samples = fleet.ask(TopK(strategy, prepared, round, first))
    best, rows, rounds = merge((sample.rows for sample in samples), round.most), _row_count(samples), 1
    floor = _floor(samples, round.most)
    if any(sample.may_lack(floor) for sample in samples):
        missing = fleet.ask(TopK(strategy, prepared, round, replace(first, floor=floor)))
        whole = merge([best, *(_without(sample.rows, best.index) for sample in missing)], round.most)
        best = replace(best, index=whole.index, score=whole.score)
        rows, rounds = rows + _row_count(missing), 2
    return Picked(best, traffic=Traffic(rounds, 0, rows, ROW_BYTES * rows))


def first_rows(k: int, shards: int) -> int:
    """The number of rows that each shard sends at first."""
    if k * shards <= _AT_ONCE:
        return k
    share = k / shards
    return min(k, max(1, math.ceil(share + _SPARE * math.sqrt(share))))


def _floor(samples: Sequence[TopKSample], k: int) -> Floor:
    """A row that at least k rows reach, itself included; below every row if there are fewer."""
    columns = zip(*((sample.rows.score, sample.rows.index, sample.weight) for sample in samples), strict=True)
    score, index, weight = (np.concatenate(column) for column in columns)
    order = np.lexsort((index, -score))
    place = int(np.searchsorted(np.cumsum(weight[order]), k))
    return (float(score[order[place]]), int(index[order[place]])) if place < len(order) else (-math.inf, 0)


def _without(rows: Candidates, known: Index) -> Candidates:
    """The rows whose index is not among `known`."""
    new = ~np.isin(rows.index, known)
    return replace(rows, index=rows.index[new], score=rows.score[new])


def _row_count(samples: Sequence[TopKSample]) -> int:
    return sum(len(sample.weight) for sample in samples)
