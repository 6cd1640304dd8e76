"""Exact top-k of scored bags, in a shard and over shards. Ties go to the smaller index, here and in top_k_sample."""

from collections.abc import Iterable

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.types import Candidates

_RUN = 1 << 18
_ROOM = 1 << 16


def top_k(index: Index, score: Floats, k: int) -> Index:
    """Rows of the k largest scores, best first, ties to the smaller index; only the best rows are ever sorted."""
    rows, floor = np.zeros(0, dtype=np.int64), -np.inf
    for start in range(0, len(score) if k > 0 else 0, _RUN):
        run = score[start : start + _RUN]
        new = np.flatnonzero(run >= floor) if len(rows) >= k else np.arange(len(run))
        rows = np.concatenate([rows, new + start])
        if len(rows) > 2 * k or start + _RUN >= len(score):
            rows = rows[_best(index[rows], score[rows], k)]
            floor = score[rows].min(initial=np.inf)
    return rows[np.lexsort((index[rows], -score[rows]))]


def _best(index: Index, score: Floats, k: int) -> Index:
    """The same rows in no order: all above the k-th score, and of those equal to it the smallest positions."""
    if not 0 < k < len(score):
        return np.arange(max(0, min(k, len(score))))
    threshold = np.partition(score, len(score) - k)[len(score) - k]
    above, tied = np.flatnonzero(score > threshold), np.flatnonzero(score == threshold)
    room = k - len(above)
    if room < len(tied):
        tied = tied[np.argpartition(index[tied], room - 1)[:room]]
    return np.concatenate([above, tied])


def merge(parts: Iterable[Candidates], k: int) -> Candidates:
    """The best k of all parts, whatever their order, and the sums of their counts; keeps some 2·k rows at a time."""
    kept, size, floor, seen, dropped, guarded = [(np.zeros(0, dtype=np.int64), np.zeros(0))], 0, -np.inf, 0, 0, 0
    for part in parts:
        seen, dropped, guarded = seen + part.seen, dropped + part.dropped, guarded + part.guarded
        new = np.flatnonzero(part.score >= floor)
        if len(new):
            kept.append((part.index[new], part.score[new]))
            size += len(new)
        if size > 2 * k + _ROOM:
            index, score = (np.concatenate(columns) for columns in zip(*kept, strict=True))
            rows = _best(index, score, k)
            kept, size, floor = [(index[rows], score[rows])], k, score[rows].min(initial=np.inf)
    index, score = (np.concatenate(columns) for columns in zip(*kept, strict=True))
    rows = top_k(index, score, k)
    return Candidates(index[rows], score[rows], seen, dropped, guarded)
