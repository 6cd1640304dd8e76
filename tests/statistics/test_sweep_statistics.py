"""On data whose truth is known, the statistics of a sweep are wrong as often as they say; Holm is that of statsmodels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.multitest import multipletests

from negsift.common.arrays import Floats
from negsift.trainer.results.intervals import bca_interval, lower_limit
from negsift.trainer.results.significance import holm, sign_flip_p, wilcoxon_p

SIGNIFICANT = 0.001
"""A correct statistic fails a test of this file so rarely."""


def noise(kind: str, size: tuple[int, int]) -> Floats:
    random = np.random.default_rng(sum(map(ord, kind)))
    drawn = {"normal": random.normal, "heavy-tailed": lambda size: random.standard_t(3, size)}
    return np.asarray(0.02 * drawn[kind](size=size))


def at_most(share: float, count: int, found: int) -> bool:
    """Whether so many of `count` are plausible for a chance of at most `share`."""
    return bool(found <= binom.ppf(1 - SIGNIFICANT, count, share))


@pytest.mark.parametrize("kind", ["normal", "heavy-tailed"])
@pytest.mark.parametrize("test", [sign_flip_p, wilcoxon_p])
@pytest.mark.parametrize("pairs", [6, 10])
def test_without_an_effect_a_test_rejects_as_often_as_it_says(kind: str, test: object, pairs: int) -> None:
    p = np.array([test(row) for row in noise(kind, (2_000, pairs))])  # type: ignore[operator]
    for level in (0.05, 0.1):
        attainable = np.floor(level * 2 ** (pairs - 1)) / 2 ** (pairs - 1)  # p comes in steps of 2 / 2^n
        assert at_most(level, len(p), int((p <= level).sum()))
        assert test is wilcoxon_p or at_most(1 - attainable, len(p), int((p > attainable).sum()))


def test_after_holm_one_of_many_strategies_is_rarely_called_different() -> None:
    families = noise("normal", (1_000 * 5, 10)).reshape(1_000, 5, 10)
    false = sum(min(holm([sign_flip_p(row) for row in family])) <= 0.05 for family in families)
    assert at_most(0.05, len(families), false)


def test_intervals_cover_the_truth_somewhat_less_often_than_they_say() -> None:
    found = [bca_interval(row) for row in noise("normal", (500, 15))]
    missed = sum(not one.low <= 0 <= one.high for one in found)
    assert at_most(0.09, len(found), missed)  # 0.07 is known for 15 values, not 0.05
    assert not at_most(0.02, len(found), missed)


def test_a_strategy_that_is_just_inferior_is_rarely_called_non_inferior() -> None:
    limits = np.array([lower_limit(row) for row in noise("normal", (2_000, 6)) - 0.01])
    assert at_most(0.05, len(limits), int((limits > -0.01).sum()))


def test_an_effect_is_found() -> None:
    p = np.array([sign_flip_p(row) for row in noise("normal", (500, 10)) + 0.03])
    assert (p <= 0.05).mean() > 0.9


@settings(max_examples=8)  # each call of statsmodels collects the garbage of the whole process
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))
