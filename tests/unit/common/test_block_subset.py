"""Subsets of blocks: enough bags, whole blocks, every block in turn, and nothing but (seed, turn, pool) decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.block_subset import BlockSubset

SIZES = {"bags": st.integers(1, 400), "pool": st.integers(1, 400), "block": st.integers(1, 70)}


@given(**SIZES, seed=st.integers(0, 3), turn=st.integers(0, 50))
def test_a_subset_is_whole_blocks_and_at_most_two_too_many(
    bags: int, pool: int, block: int, seed: int, turn: int
) -> None:
    subset = BlockSubset(bags, seed, turn)
    index, blocks = subset.index(pool, block), subset.blocks(pool, block)
    assert len(np.unique(blocks)) == len(blocks)
    whole = [range(number * block, min((number + 1) * block, pool)) for number in blocks]
    assert index.tolist() == [position for run in whole for position in run]
    assert min(bags, pool) <= len(index) <= min(bags + 2 * block, pool)


@given(**SIZES, first=st.integers(0, 9))
def test_every_bag_comes_at_least_once_a_cycle(bags: int, pool: int, block: int, first: int) -> None:
    blocks = -(-pool // block)
    turns = -(-blocks // len(BlockSubset(bags, 0, 0).blocks(pool, block)))
    cycle = [BlockSubset(bags, 0, first * turns + step).index(pool, block) for step in range(turns)]
    np.testing.assert_array_equal(np.unique(np.concatenate(cycle)), np.arange(pool))
    gap = [set(BlockSubset(bags, 0, first + step).blocks(pool, block)) for step in range(2 * turns - 1)]
    assert set().union(*gap) == set(range(blocks))


def test_turns_have_other_bags_and_cycles_other_neighbours() -> None:
    subsets = [tuple(BlockSubset(100, seed, turn).blocks(1000, 10)) for seed in range(2) for turn in range(30)]
    assert len(set(subsets)) == len(subsets)


def test_every_bag_is_as_likely_as_any_other() -> None:
    counts = np.zeros(37)
    for seed in range(400):
        counts[BlockSubset(8, seed, 3).index(37, 1)] += 1
    expected = 400 * 8 / 37
    assert ((counts - expected) ** 2 / expected).sum() < 70  # chi-square of 36: 1 in 1,500 is above 70


@pytest.mark.parametrize("pool", [0, 1, 10])
def test_a_subset_as_large_as_the_pool_is_the_pool(pool: int) -> None:
    assert BlockSubset(max(pool, 1), 0, 7).index(pool, 4).tolist() == list(range(pool))
