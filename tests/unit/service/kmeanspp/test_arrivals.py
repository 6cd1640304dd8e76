"""Arrivals: hashed numbers, exponentials by arithmetic alone, and one stream in the order of time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from negsift.service.kmeanspp.arrival_stream import ArrivalStream
from negsift.service.kmeanspp.hashed_times import exponentials, logarithm, marks, phase_key, uniforms
from negsift.service.kmeanspp.messages import RatedPoints
from negsift.service.kmeanspp.points import Points
from tests.unit.d2_oracle import number


@given(x=st.one_of(st.floats(2.0**-53, 1.0), st.floats(1e-300, 1e300)))
def test_logarithm_is_within_one_step_of_the_true_one(x: float) -> None:
    ours, true = float(logarithm(np.array([x]))[0]), math.log(x)
    assert abs(ours - true) <= math.ulp(true)


def test_numbers_are_hashed_from_position_and_draw() -> None:
    key, index, draw = phase_key(3, 1, 2), np.array([0, 7, 2**40]), np.array([0, 5, 999])
    expected = [number(key, int(i), int(j)) for i, j in zip(index, draw, strict=True)]
    assert uniforms(key, index, draw).tolist() == expected


def test_exponentials_are_exponential_and_marks_uniform() -> None:
    index, first = np.arange(20_000), np.zeros(20_000, dtype=np.int64)
    assert kstest(exponentials(phase_key(0, 0, 1), index, first), "expon").pvalue > 0.001
    assert kstest(marks(phase_key(0, 0, 1), index, first), "uniform").pvalue > 0.001


@pytest.mark.parametrize("arrival", [0, 1, 7])
def test_the_waits_of_one_arrival_and_the_next_are_uncorrelated(arrival: int) -> None:
    index = np.arange(20_000)
    now, then = (exponentials(1, index, np.full(20_000, number)) for number in (arrival, arrival + 1))
    assert abs(np.corrcoef(now, then)[0, 1]) < 0.03


def test_no_exponential_is_negative_and_the_largest_number_is_the_longest_wait() -> None:
    waits = -logarithm(1.0 - np.array([2.0**-53, 0.5, 1.0]) + 2.0**-53)
    assert waits[0] == 0.0
    assert waits[2] == pytest.approx(53 * math.log(2.0))


def test_arrivals_come_once_each_in_the_order_of_time() -> None:
    """Asked for in two stretches or in one, and with points sent twice."""
    index = np.arange(50, dtype=np.int64)
    rated = RatedPoints(Points(index, (np.ones((50, 1)),)), np.linspace(0.0, 3.0, 50))
    once, twice = ArrivalStream(9, rated.points), ArrivalStream(9, rated.points)
    once.add(rated)
    whole = once.until(4.0)
    twice.add(rated)
    parts = [twice.until(1.5)]
    twice.add(rated)
    parts.append(twice.until(4.0))
    assert np.concatenate([part.row for part in parts]).tolist() == whole.row.tolist()
    assert np.concatenate([part.mark for part in parts]).tolist() == whole.mark.tolist()
    assert len(whole) == pytest.approx(4.0 * rated.rate.sum(), rel=0.2)
    assert not (whole.row == 0).any()
