"""One strategy against another: pairs, wins and the probability of improvement."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.trainer.results.design import Block
from negsift.trainer.results.significance import holm
from negsift.trainer.results.versus import Values, corrected, probability_of_improvement, versus

TENTHS = st.integers(0, 5).map(lambda number: number / 10)
BLOCKS = st.dictionaries(st.builds(Block, st.sampled_from("ab"), st.sampled_from("012")), TENTHS)


def by_seed(data: str, *values: float) -> dict[Block, float]:
    return {Block(data, str(seed)): value for seed, value in enumerate(values)}


@given(BLOCKS, BLOCKS)
def test_improvement_is_counted_naively(mine: Values, theirs: Values) -> None:
    shares = []
    for data in "ab":
        ours, others = ([v for b, v in values.items() if b.data == data] for values in (mine, theirs))
        scores = [1.0 if x > y else 0.5 if x == y else 0.0 for x in ours for y in others]
        shares += [sum(scores) / len(scores)] if scores else []
    found = probability_of_improvement(mine, theirs)
    assert math.isnan(found) if not shares else found == pytest.approx(sum(shares) / len(shares))


@given(BLOCKS, BLOCKS)
def test_any_two_can_be_compared_and_the_reverse_is_the_opposite(mine: Values, theirs: Values) -> None:
    found, reverse = versus(mine, theirs, "other"), versus(theirs, mine, "other")
    assert found.difference.count == reverse.difference.count == len(mine.keys() & theirs.keys())
    assert (found.wins.wins, found.wins.losses) == (reverse.wins.losses, reverse.wins.wins)
    if found.difference.count:
        assert found.difference.mean == pytest.approx(-reverse.difference.mean)
        assert found.p == reverse.p


def test_only_blocks_that_both_have_are_paired() -> None:
    found = versus(by_seed("a", 0.5, 0.7, 0.9), by_seed("a", 0.4, 0.5), "random")
    assert found.difference.mean == pytest.approx(0.15)
    assert (found.difference.count, found.unpaired) == (2, 1)


def test_a_class_is_won_by_its_mean_over_seeds() -> None:
    mine = by_seed("a", 0.9, 0.1) | by_seed("b", 0.5, 0.5) | by_seed("c", 0.3)
    theirs = by_seed("a", 0.2, 0.2) | by_seed("b", 0.4, 0.6) | by_seed("c", 0.4)
    wins = versus(mine, theirs, "random").wins
    assert (wins.wins, wins.losses, wins.p) == (1, 1, 1.0)


def test_a_family_is_corrected_for_its_size() -> None:
    base = by_seed("a", *np.zeros(6))
    family = [versus(by_seed("a", *values), base, "random") for values in ([0.1] * 6, [-0.2, *[0.1] * 5], [0.0] * 6)]
    after = corrected(family)
    assert [one.holm.sign_flip for one in after] == holm([one.p.sign_flip for one in family])
    assert [one.holm.smallest for one in after] == [3 * 2 / 2**6] * 3
    assert {one.tried for one in after} == {3}


def test_a_lone_comparison_needs_no_correction() -> None:
    found = versus(by_seed("a", 0.3, 0.4), by_seed("a", 0.1, 0.1), "full")
    assert found.holm == found.p
    assert found.tried == 1
