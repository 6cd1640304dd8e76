"""Intervals of a mean equal those computed from their definitions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from negsift.trainer.results.intervals import bca_interval, lower_limit

SKEWED = np.array([0.01, 0.012, 0.02, 0.031, 0.05, 0.12])


def bca_by_definition(values: np.ndarray) -> tuple[float, float]:
    """Efron (1987), equations 2.3 and 6.6, over all n^n bootstrap samples instead of draws."""
    means = np.array([np.mean(draw) for draw in itertools.product(values, repeat=len(values))])
    below = (np.mean(means < values.mean()) + np.mean(means <= values.mean())) / 2
    without = np.array([np.delete(values, number).mean() for number in range(len(values))])
    gaps = without.mean() - without
    acceleration = (gaps**3).sum() / (6 * (gaps**2).sum() ** 1.5)
    bias, low, high = ndtri(below), ndtri(0.025), ndtri(0.975)
    shares = [ndtr(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in (low, high)]
    return float(np.quantile(means, shares[0])), float(np.quantile(means, shares[1]))


@pytest.mark.parametrize("values", [SKEWED, -SKEWED, np.array([-0.03, -0.01, 0.0, 0.02, 0.02, 0.05])])
def test_bca_is_that_of_its_definition(values: np.ndarray) -> None:
    found, step = bca_interval(values), 0.05 * values.std()  # the quantiles of 10,000 draws are no closer
    assert (found.low, found.high) == pytest.approx(bca_by_definition(values), abs=step)


def test_bca_follows_the_skew() -> None:
    found = bca_interval(SKEWED)
    assert found.high - SKEWED.mean() > SKEWED.mean() - found.low


def test_the_same_values_have_the_same_interval() -> None:
    assert bca_interval(SKEWED) == bca_interval(SKEWED)


@pytest.mark.parametrize("values", [[], [0.1]])
def test_fewer_than_two_values_have_no_interval(values: list[float]) -> None:
    assert math.isnan(bca_interval(np.array(values)).low)
    assert math.isnan(lower_limit(np.array(values)))


def test_equal_values_have_an_interval_without_width() -> None:
    found = bca_interval(np.full(5, 0.02))
    assert found.low == found.high == 0.02


def test_the_limit_is_students() -> None:
    values = np.array([0.0, 0.01, 0.02])  # mean .01, standard error .01 / sqrt 3, t(2) at 95 % is 2.919986
    assert lower_limit(values) == pytest.approx(0.01 - 2.919986 * 0.01 / math.sqrt(3))


@given(st.lists(st.sampled_from([-0.5, -1e-17, 0.0, 1e-17, 0.1, 0.1 + 1e-16, 0.5]), min_size=2, max_size=6))
def test_no_values_break_the_interval(values: list[float]) -> None:
    found = bca_interval(np.array(values))
    assert not found.low > found.high
