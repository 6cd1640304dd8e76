"""The race's clock: hashed numbers, exponentials by arithmetic alone, and arrivals in order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from negsift.service.kmeanspp.arrival_times import exponentials, logarithm, marks, race_key, uniforms
from negsift.service.kmeanspp.known_points import KnownPoints
from negsift.service.kmeanspp.messages import DuePoints
from negsift.service.kmeanspp.points import Points
from tests.unit.race_oracle import number


@given(x=st.one_of(st.floats(2.0**-53, 1.0), st.floats(1e-300, 1e300)))
def test_logarithm_is_within_one_step_of_the_true_one(x: float) -> None:
    found, true = float(logarithm(np.array([x]))[0]), math.log(x)
    assert abs(found - true) <= math.ulp(true)


def test_numbers_are_hashed_from_position_and_turn() -> None:
    key, index, turn = race_key(3, 1, 2), np.array([0, 7, 2**40]), np.array([0, 5, 999])
    expected = [number(key, int(i), int(j)) for i, j in zip(index, turn, strict=True)]
    assert uniforms(key, index, turn).tolist() == expected


def test_exponentials_are_exponential_and_marks_uniform() -> None:
    index, first = np.arange(20_000), np.zeros(20_000, dtype=np.int64)
    assert kstest(exponentials(race_key(0, 0, 1), index, first), "expon").pvalue > 0.001
    assert kstest(marks(race_key(0, 0, 1), index, first), "uniform").pvalue > 0.001


@pytest.mark.parametrize("turn", [0, 1, 7])
def test_the_times_of_one_arrival_say_nothing_of_the_next(turn: int) -> None:
    index = np.arange(20_000)
    now, then = (exponentials(1, index, np.full(20_000, at)) for at in (turn, turn + 1))
    assert abs(np.corrcoef(now, then)[0, 1]) < 0.03


def test_no_exponential_is_negative_and_the_largest_number_is_the_longest_wait() -> None:
    waits = -logarithm(1.0 - np.array([2.0**-53, 0.5, 1.0]) + 2.0**-53)
    assert waits[0] == 0.0
    assert waits[2] == pytest.approx(53 * math.log(2.0))


def test_arrivals_come_in_the_order_of_their_times_each_once() -> None:
    """Asked in two stretches or in one, and with points sent twice."""
    index = np.arange(50, dtype=np.int64)
    due = DuePoints(Points(index, (np.ones((50, 1)),)), np.linspace(0.0, 3.0, 50))
    once, twice = KnownPoints(9, due.points), KnownPoints(9, due.points)
    once.add(due)
    whole = once.until(4.0)
    twice.add(due)
    parts = [twice.until(1.5)]
    twice.add(due)
    parts.append(twice.until(4.0))
    assert np.concatenate([part.row for part in parts]).tolist() == whole.row.tolist()
    assert np.concatenate([part.mark for part in parts]).tolist() == whole.mark.tolist()
    assert len(whole) == pytest.approx(4.0 * due.rate.sum(), rel=0.2)
    assert not (whole.row == 0).any()
