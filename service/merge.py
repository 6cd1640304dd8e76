"""Exact top-k of scored bags: within a shard, and over the shards' answers."""

from collections.abc import Iterable, Sequence

import numpy as np

from common.types import Candidates, Floats, Index

_ROOM = 1 << 16


def top_k(index: Index, score: Floats, k: int) -> Index:
    """Rows of the k largest scores, best first; ties go to the smaller index. All rows if k exceeds them.

    A partition finds the k-th score, so that only rows at or above it are sorted.
    """
    if k <= 0 or not len(score):
        return np.zeros(0, dtype=np.int64)
    if k < len(score):
        threshold = np.partition(score, len(score) - k)[len(score) - k]
        rows = np.flatnonzero(score >= threshold)
    else:
        rows = np.arange(len(score))
    order = np.lexsort((index[rows], -score[rows]))
    return rows[order[:k]].astype(np.int64)


def merge(parts: Sequence[Candidates], k: int) -> Candidates:
    """The best k of all parts, in whatever order they came; counts are added up."""
    index = np.concatenate([part.index for part in parts])
    score = np.concatenate([part.score for part in parts])
    rows = top_k(index, score, k)
    seen, dropped = sum(part.seen for part in parts), sum(part.dropped for part in parts)
    return Candidates(index[rows], score[rows], seen, dropped)


def merge_all(parts: Iterable[Candidates], k: int) -> Candidates:
    """As `merge`, but parts are let go of as they come: the memory is that of some k candidates."""
    held, size = [Candidates(np.zeros(0, dtype=np.int64), np.zeros(0), 0)], 0
    for part in parts:
        held.append(part)
        size += len(part.index) + 1
        if size > 2 * k + _ROOM:
            held, size = [merge(held, k)], k
    return merge(held, k)
