"""The promises of every backend: bounds from above, every row that may arrive, the rows of the largest bounds."""

import numpy as np
import pytest

from negsift.common.rng import uniform_keys
from negsift.service.kmeanspp.cpu_backend import MANY_CENTRES
from negsift.service.kmeanspp.messages import TimeWindow
from negsift.service.kmeanspp.nearest import CentresByNorm, nearest
from negsift.service.kmeanspp.point_backend import NEAR, NEAR_SKETCH, SKETCH_SLACK, earliest, slack
from negsift.service.kmeanspp.points import Points, squared_gaps
from negsift.service.kmeanspp.sketch import find_directions, upper_gaps
from tests.unit.seeding_pools import BACKENDS, heavy_tailed, points_of

COUNTS = [1, 5, MANY_CENTRES - 1, MANY_CENTRES + 8]
EVERY_ROW = np.arange(700)


def some_points(factors: int = 1) -> Points:
    rows = heavy_tailed(700, 5, seed=3)
    points = points_of(rows)
    if factors == 1:
        return points
    return Points(points.index, ((rows[:, :2] >> 4).astype(np.float32), (rows[:, 2:] >> 4).astype(np.float32)))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("factors", [1, 2])
@pytest.mark.parametrize("name", BACKENDS)
def test_bounds_are_never_below_the_distance_and_hardly_above(name: str, factors: int, count: int) -> None:
    points = some_points(factors)
    backend, centres = BACKENDS[name](points), points.take(np.arange(count) * 7)
    backend.lower_bounds(centres)
    exact, bound = squared_gaps(points, centres).min(1), backend.bounds_of(EVERY_ROW)
    assert (bound >= exact).all()
    scale = points.squares + centres.squares[squared_gaps(points, centres).argmin(1)]
    assert (bound <= exact + 6.0 * slack(points.factors) * scale).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_bounds_only_fall_and_rows_near_a_centre_are_named(name: str) -> None:
    points = some_points()
    backend = BACKENDS[name](points)
    first = backend.lower_bounds(points.take(np.arange(9)))
    before = backend.bounds_of(EVERY_ROW)
    assert set(range(9)) <= set(first.tolist())
    backend.set_bounds(np.arange(9), np.zeros(9))
    second = backend.lower_bounds(points.take(np.arange(60, 75)))
    after = backend.bounds_of(EVERY_ROW)
    assert (after <= before).all()
    assert not after[:9].any()
    assert not set(second.tolist()) & set(range(9))
    limit = NEAR * slack(points.factors) * backend.squares.astype(np.float64)
    assert set(np.flatnonzero((after > 0.0) & (after < 0.99 * limit)).tolist()) <= set(second.tolist())


@pytest.mark.parametrize("name", BACKENDS)
def test_bounds_that_are_set_are_rounded_up_at_most(name: str) -> None:
    backend = BACKENDS[name](some_points())
    gaps = np.random.default_rng(0).integers(0, 2**50, 700).astype(np.float64)
    backend.set_bounds(EVERY_ROW, gaps)
    bound = backend.bounds_of(EVERY_ROW)
    assert (bound >= gaps).all()
    assert (bound <= gaps * (1.0 + 1e-6)).all()


@pytest.mark.parametrize("times", [(0.0, 0.5), (0.5, 2.0), (0.0, 1e9)])
@pytest.mark.parametrize("name", BACKENDS)
def test_rows_arrive_by_their_first_number(name: str, times: tuple[float, float]) -> None:
    points = some_points()
    backend = BACKENDS[name](points)
    backend.lower_bounds(points.take(np.arange(3)))
    rate = backend.bounds_of(EVERY_ROW)
    start, end = (time / rate.mean() for time in times)
    when, rows = earliest(uniform_keys(99, points.index), rate), backend.arriving(TimeWindow(99, start, end))
    few_more = (when <= end * (1 + 1e-5)) & ((when > start * (1 - 1e-5)) | (start == 0))
    assert set(np.flatnonzero((when <= end) & ((when > start) | (start == 0.0)))) <= set(rows)
    assert set(rows) <= set(np.flatnonzero(few_more))


@pytest.mark.parametrize("factors", [1, 2])
@pytest.mark.parametrize("name", BACKENDS)
def test_bounds_from_sketches_are_never_below_the_rates_and_hardly_above(name: str, factors: int) -> None:
    points = some_points(factors)
    directions, centres = find_directions(points.take(EVERY_ROW[::7])), points.take(np.arange(40) * 7)
    backend, theirs = BACKENDS[name](points), (directions.sketch(centres), centres.squares)
    backend.look_along(directions)
    near = backend.lower_by_sketch(*theirs)
    rates = upper_gaps((directions.sketch(points), points.squares), theirs)
    assert (rates.min(1) >= squared_gaps(points, centres).min(1)).all()
    bound, largest = backend.bounds_of(EVERY_ROW), 2.0 * points.squares + rates.min(1)
    assert (bound >= rates.min(1)).all()
    assert (bound <= rates.min(1) * 1.01 + 2_000.0 * slack(points.factors) * largest).all()
    limit = NEAR_SKETCH * SKETCH_SLACK * slack(points.factors) * points.squares
    assert (bound[near] <= 1.01 * limit[near]).all()
    assert set(np.flatnonzero((bound > 0.0) & (bound <= 0.99 * limit))) <= set(near.tolist())


@pytest.mark.parametrize("name", BACKENDS)
def test_small_hashes_are_those_of_the_positions(name: str) -> None:
    points = some_points()
    rows, uniform = BACKENDS[name](points).small_hashes(99, 0.1), uniform_keys(99, points.index)
    assert set(np.flatnonzero(uniform <= 0.1)) <= set(rows.tolist()) <= set(np.flatnonzero(uniform <= 0.1001))


@pytest.mark.parametrize("name", BACKENDS)
def test_the_largest_bounds_and_the_largest_of_the_others(name: str) -> None:
    points = some_points()
    backend = BACKENDS[name](points)
    backend.lower_bounds(points.take(np.arange(3)))
    bound = backend.bounds_of(EVERY_ROW)
    rows, bound_of_others = backend.largest(20)
    assert len(set(rows.tolist())) == 20
    assert bound[rows].min() >= bound_of_others == np.delete(bound, rows).max()
    assert backend.largest(700)[1] == 0.0
    assert backend.sum_bounds() == pytest.approx(bound.sum(), rel=1e-6)
    backend.reset()
    assert np.isinf(backend.bounds_of(EVERY_ROW)).all()


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize(("count", "centres"), [(1, 1), (200, 3), (2_000, 400)])
def test_nearest_is_the_least_gap(count: int, centres: int, bounded: bool) -> None:
    points, chosen = points_of(heavy_tailed(count, 4, seed=1)), points_of(heavy_tailed(centres, 4, seed=2))
    bound = np.random.default_rng(0).lognormal(24.0, 3.0, count).round() if bounded else None
    expected = squared_gaps(points, chosen).min(1)
    expected = expected if bound is None else np.minimum(bound, expected)
    np.testing.assert_array_equal(nearest(points, CentresByNorm(chosen), bound), expected)
