"""The tests of paired differences equal enumerations that know nothing of their code."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_1samp, wilcoxon

from negsift.common.arrays import Floats
from negsift.trainer.results.significance import DRAWS, holm, sign_flip_p, smallest_p, wilcoxon_p, wins_p

HUNDREDTHS = st.lists(st.integers(-30, 30), min_size=1, max_size=8)


def enumerated(values: list[Fraction]) -> float:
    """The share of sign assignments whose sum is as far from 0 as that found, in exact arithmetic."""
    found = abs(sum(values))
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    return sum(total >= found for total in sums) / len(sums)


def midranks(values: list[int]) -> list[Fraction]:
    sizes = [abs(value) for value in values]
    below = [sum(other < size for other in sizes) for size in sizes]
    return [Fraction(2 * low + sizes.count(size) + 1, 2) for low, size in zip(below, sizes, strict=True)]


@given(HUNDREDTHS)
def test_sign_flips_are_enumerated(hundredths: list[int]) -> None:
    values = [Fraction(number, 100) for number in hundredths]
    assert sign_flip_p(np.array(hundredths) / 100) == enumerated(values)


@given(HUNDREDTHS)
def test_signed_ranks_are_enumerated_with_ties_and_without_zeros(hundredths: list[int]) -> None:
    left = [number for number in hundredths if number]
    signed = [rank if number > 0 else -rank for rank, number in zip(midranks(left), left, strict=True)]
    assert wilcoxon_p(np.array(hundredths) / 100) == (enumerated(signed) if left else 1.0)


@pytest.mark.parametrize("count", [2, 5, 9, 12])
def test_both_tests_are_scipys_where_it_is_exact(count: int) -> None:
    values = np.random.default_rng(count).normal(0.4, 1, count)
    exact = permutation_test((values,), np.mean, permutation_type="samples", n_resamples=2**count)
    assert sign_flip_p(values) == pytest.approx(exact.pvalue)
    assert wilcoxon_p(values) == pytest.approx(wilcoxon(values, method="exact").pvalue)


def test_many_pairs_are_drawn_and_come_close_to_the_normal_law() -> None:
    values = np.random.default_rng(1).normal(0.25, 1, 60)
    assert sign_flip_p(values) == sign_flip_p(values) == pytest.approx(ttest_1samp(values, 0).pvalue, rel=0.05)
    assert wilcoxon_p(values) == pytest.approx(wilcoxon(values, method="asymptotic").pvalue, rel=0.05)


@pytest.mark.parametrize("test", [sign_flip_p, wilcoxon_p])
@pytest.mark.parametrize("pairs", [1, 2, 5, 10, 17, 18, 40])
def test_the_smallest_p_is_that_of_equal_signs(test: Callable[[Floats], float], pairs: int) -> None:
    assert test(np.arange(1.0, pairs + 1)) == pytest.approx(smallest_p(pairs), abs=2 / DRAWS if pairs > 17 else 0)


def test_five_pairs_can_not_be_significant() -> None:
    assert smallest_p(5) == 2 / 2**5 > 0.05
    assert math.isnan(smallest_p(0))


def test_differences_of_nothing_are_no_evidence() -> None:
    assert sign_flip_p(np.zeros(6)) == wilcoxon_p(np.zeros(6)) == 1.0
    assert math.isnan(sign_flip_p(np.zeros(0)))
    assert math.isnan(wilcoxon_p(np.zeros(0)))


def test_sums_that_are_equal_but_for_rounding_are_ties() -> None:
    assert sign_flip_p(np.array([0.1, 0.2, -0.3])) == 1.0


def test_holm_is_done_by_hand() -> None:
    # ordered .01 .02 .03 .2: 4 * .01, 3 * .02, then 2 * .03 = .06, then 1 * .2, each at least the one before
    assert holm([0.03, 0.01, 0.2, 0.02]) == pytest.approx([0.06, 0.04, 0.2, 0.06])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([]) == []


def test_a_test_without_a_p_still_counts_as_tried() -> None:
    after = holm([0.01, math.nan])
    assert after[0] == pytest.approx(0.02)
    assert math.isnan(after[1])


@given(st.integers(0, 12), st.integers(0, 12))
def test_wins_are_counted_by_the_binomial_law(wins: int, losses: int) -> None:
    games = wins + losses
    chances = [Fraction(math.comb(games, number), 2**games) for number in range(games + 1)]
    extreme = sum(chance for chance in chances if chance <= chances[wins])
    p = wins_p(wins, losses)
    assert math.isnan(p) if not games else p == pytest.approx(float(extreme))
