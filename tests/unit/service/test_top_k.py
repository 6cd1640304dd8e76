"""Exact top-k, within a shard and over shards; and the division into blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import negsift.service.top_k
from negsift.common.types import Candidates
from negsift.service.pool.blocks import block_count, block_index, share_blocks
from negsift.service.top_k import merge, top_k

SCORES = st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0, 1e300, -1e300, 5e-324]), max_size=40)


def oracle(index: list[int], score: list[float], k: int) -> list[int]:
    return sorted(range(len(index)), key=lambda row: (-score[row], index[row]))[: max(k, 0)]


def candidates(index: list[int], score: list[float], k: int) -> Candidates:
    rows = oracle(index, score, k)
    kept = np.array([index[row] for row in rows], dtype=np.int64)
    return Candidates(kept, np.array([score[row] for row in rows]), len(index), dropped=1)


@given(score=SCORES, k=st.integers(-1, 45), order=st.randoms())
def test_top_k_is_the_head_of_the_sorted_list(score: list[float], k: int, order: object) -> None:
    index = list(range(100, 100 + len(score)))
    order.shuffle(index)  # type: ignore[attr-defined]  # a random.Random
    for run in (1, 7, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(negsift.service.top_k, "_RUN", run)
            found = top_k(np.array(index, dtype=np.int64), np.array(score), k)
        assert found.tolist() == oracle(index, score, k)


@given(
    score=SCORES,
    k=st.integers(0, 45),
    owner=st.lists(st.integers(0, 4), min_size=40, max_size=40),
    order=st.permutations(range(5)),
)
def test_merge_of_any_split_in_any_order_is_top_k_of_the_whole(
    score: list[float], k: int, owner: list[int], order: list[int]
) -> None:
    split = [[at for at in range(len(score)) if owner[at] == shard] for shard in order]
    merged = merge([candidates(part, [score[at] for at in part], k) for part in split], k)
    whole = candidates(list(range(len(score))), score, k)
    assert (merged.index.tolist(), merged.score.tolist()) == (whole.index.tolist(), whole.score.tolist())
    assert (merged.seen, merged.dropped) == (len(score), 5)


@given(scores=st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=12), k=st.integers(0, 9))
def test_letting_go_of_parts_as_they_come_changes_nothing(scores: list[list[int]], k: int) -> None:
    starts, whole = np.cumsum([0, *map(len, scores)]), np.array([each for part in scores for each in part], float)
    parts = (
        Candidates(np.arange(start, start + len(part)), np.array(part, float), len(part) + 1, 1)
        for start, part in zip(starts, scores, strict=False)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(negsift.service.top_k, "_ROOM", 3)
        found = merge(parts, k)
    assert found.index.tolist() == oracle(list(range(len(whole))), whole.tolist(), k)
    assert (found.seen, found.dropped) == (len(whole) + len(scores), len(scores))


def test_positions_beyond_32_bits_stay_what_they_are() -> None:
    index = np.array([2**62, 5, 2**40 + 1], dtype=np.int64)
    found = merge([Candidates(index[rows], np.zeros(len(rows)), 3) for rows in ([0], [1, 2])], 3)
    assert found.index.tolist() == [5, 2**40 + 1, 2**62]


def test_scores_of_nothing_give_nothing() -> None:
    assert len(top_k(np.zeros(0, dtype=np.int64), np.zeros(0), 3)) == 0


@given(blocks=st.integers(0, 200), shards=st.integers(1, 40))
def test_shares_cover_every_block_once_in_order(blocks: int, shards: int) -> None:
    shares = share_blocks(blocks, shards)
    assert len(shares) == shards
    assert [block for share in shares for block in share] == list(range(blocks))


@given(blocks=st.integers(0, 200), shards=st.integers(1, 40))
def test_shares_differ_by_one_block_at_most(blocks: int, shards: int) -> None:
    lengths = [len(share) for share in share_blocks(blocks, shards)]
    assert max(lengths) - min(lengths) <= 1


def test_more_shards_than_blocks_leaves_some_empty() -> None:
    assert sorted(len(share) for share in share_blocks(2, 5)) == [0, 0, 0, 1, 1]


@given(total=st.integers(0, 100), size=st.integers(1, 30))
def test_blocks_cover_every_position_once(total: int, size: int) -> None:
    blocks = [block_index(block, size, total).tolist() for block in range(block_count(total, size))]
    assert [position for block in blocks for position in block] == list(range(total))
    assert all(len(block) == size for block in blocks[:-1])
