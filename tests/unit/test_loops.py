"""What bodies promise of every point: bounds from above, rows that are due, none forgotten."""

import numpy as np
import pytest

from negsift.common.rng import uniform_keys
from negsift.service.kmeanspp.nearest import CentresByNorm, nearest
from negsift.service.kmeanspp.numpy_backend import MANY_CENTRES, NEAR, earliest, slack
from negsift.service.kmeanspp.points import Points, squared_gaps
from tests.unit.test_race import BODIES, heavy_tailed, points_of

COUNTS = [1, 5, MANY_CENTRES - 1, MANY_CENTRES + 8]


def some(factors: int = 1) -> Points:
    rows = heavy_tailed(700, 5, seed=3)
    points = points_of(rows)
    if factors == 1:
        return points
    return Points(points.index, ((rows[:, :2] >> 4).astype(np.float32), (rows[:, 2:] >> 4).astype(np.float32)))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("factors", [1, 2])
@pytest.mark.parametrize("body", BODIES)
def test_bounds_are_never_below_the_distance_and_hardly_above(body: str, factors: int, count: int) -> None:
    points = some(factors)
    loops, centres = BODIES[body](points), points.take(np.arange(count) * 7)
    loops.cover(centres)
    exact, bound = squared_gaps(points, centres).min(1), loops.bound(np.arange(700))
    assert (bound >= exact).all()
    reach = points.squares + centres.squares[squared_gaps(points, centres).argmin(1)]
    assert (bound <= exact + 6.0 * slack(points.factors) * reach).all()


@pytest.mark.parametrize("body", BODIES)
def test_bounds_only_fall_and_rows_near_a_centre_are_named(body: str) -> None:
    points = some()
    loops, everything = BODIES[body](points), np.arange(700)
    first = loops.cover(points.take(np.arange(9)))
    before = loops.bound(everything)
    assert set(range(9)) <= set(first.tolist())
    loops.settle(np.arange(9), np.zeros(9))
    second = loops.cover(points.take(np.arange(60, 75)))
    after = loops.bound(everything)
    assert (after <= before).all()
    assert not after[:9].any()
    assert not set(second.tolist()) & set(range(9))
    limit = NEAR * slack(points.factors) * loops.squares.astype(np.float64)
    assert set(np.flatnonzero((after > 0.0) & (after < 0.99 * limit)).tolist()) <= set(second.tolist())


@pytest.mark.parametrize("body", BODIES)
def test_settled_bounds_are_no_lower_than_what_was_given(body: str) -> None:
    loops, squares = BODIES[body](some()), np.random.default_rng(0).integers(0, 2**50, 700).astype(np.float64)
    loops.settle(np.arange(700), squares)
    found = loops.bound(np.arange(700))
    assert (found >= squares).all()
    assert (found <= squares * (1.0 + 1e-6)).all()


@pytest.mark.parametrize("radius", [None, 0.0, 1e5])
@pytest.mark.parametrize("window", [(0.0, 0.5), (0.5, 2.0), (0.0, 1e9)])
@pytest.mark.parametrize("body", BODIES)
def test_rows_are_due_by_their_first_number(body: str, window: tuple[float, float], radius: float | None) -> None:
    points = some()
    loops = BODIES[body](points)
    loops.cover(points.take(np.arange(3)))
    rate = loops.bound(np.arange(700))
    if radius is not None:
        rate = (np.sqrt(loops.squares.astype(np.float64)) + radius) ** 2
    low, high = (time / rate.mean() for time in window)
    when, found = earliest(uniform_keys(99, points.index), rate), set(loops.due(radius, 99, (low, high)).tolist())
    assert set(np.flatnonzero((when <= high) & ((when > low) | (low == 0.0))).tolist()) <= found
    assert found <= set(np.flatnonzero((when <= high * (1 + 1e-5)) & ((when > low * (1 - 1e-5)) | (low == 0))).tolist())


@pytest.mark.parametrize("body", BODIES)
def test_the_largest_bounds_and_the_rest(body: str) -> None:
    points = some()
    loops = BODIES[body](points)
    loops.cover(points.take(np.arange(3)))
    bound = loops.bound(np.arange(700))
    rows, rest = loops.top(20)
    assert len(set(rows.tolist())) == 20
    assert bound[rows].min() >= rest == np.delete(bound, rows).max()
    assert loops.top(700)[1] == 0.0
    assert loops.total() == pytest.approx(bound.sum(), rel=1e-6)
    loops.forget()
    assert np.isinf(loops.bound(np.arange(700))).all()


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize(("count", "centres"), [(1, 1), (200, 3), (2_000, 400)])
def test_nearest_is_the_least_gap(count: int, centres: int, bounded: bool) -> None:
    points = points_of(heavy_tailed(count, 4, seed=1))
    theirs = points_of(heavy_tailed(centres, 4, seed=2))
    bound = np.random.default_rng(0).lognormal(24.0, 3.0, count).round() if bounded else None
    expected = squared_gaps(points, theirs).min(1)
    expected = expected if bound is None else np.minimum(bound, expected)
    np.testing.assert_array_equal(nearest(points, CentresByNorm(theirs), bound), expected)
