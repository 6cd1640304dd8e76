"""Ranks over blocks and performance profiles."""

import math

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from negsift.trainer.results.design import Block
from negsift.trainer.results.ranks import profile, rank, thresholds_for


def values(*numbers: float) -> dict[Block, float]:
    return {Block("a", str(seed)): number for seed, number in enumerate(numbers)}


def test_ranks_are_means_over_blocks_and_ties_share() -> None:
    found = rank({"best": values(0.9, 0.8), "tied": values(0.5, 0.7), "other": values(0.5, 0.1)})
    assert found
    assert found.mean == {"best": 1.0, "tied": 2.25, "other": 2.75}


def test_the_distance_is_that_of_the_papers_example() -> None:
    # Demšar (2006), section 3.2.2: four classifiers on 14 data sets, CD = 1.25
    table = np.random.default_rng(0).random((4, 14))
    found = rank({str(number): values(*row) for number, row in enumerate(table)})
    assert found
    assert found.critical == pytest.approx(1.25, abs=0.005)
    assert found.friedman_p == pytest.approx(friedmanchisquare(*table).pvalue)


def test_blocks_that_one_lacks_are_left_out() -> None:
    found = rank({"a": values(0.9, 0.8, 0.7), "b": values(0.1, 0.2)})
    assert found
    assert (found.blocks, found.mean["a"]) == (2, 1.0)
    assert math.isnan(found.critical)


@pytest.mark.parametrize("table", [{}, {"a": values(0.5)}, {"a": values(0.5), "b": {}}])
def test_nothing_to_rank_has_no_ranks(table: dict[str, dict[Block, float]]) -> None:
    assert rank(table) is None


def test_equal_values_everywhere_have_equal_ranks_and_no_test() -> None:
    found = rank({name: values(0.5, 0.5) for name in "abc"})
    assert found
    assert set(found.mean.values()) == {2.0}
    assert math.isnan(found.friedman_p)


def test_a_profile_is_the_share_of_blocks_at_or_above_each_threshold() -> None:
    assert profile(values(0.2, 0.4, 0.4, 0.8), np.array([0.0, 0.4, 0.5, 0.9])) == (1.0, 0.75, 0.25, 0.0)
    assert profile({}, np.array([0.5])) == ()
    assert list(thresholds_for({"a": values(0.2), "b": values(0.4)}, 3)) == pytest.approx([0.2, 0.3, 0.4])
