"""Sketches: bounds on distances that hold, along directions that are the same whoever finds them."""

import pickle

import numpy as np
import pytest

from negsift.service.kmeanspp.points import Points, squared_gaps
from negsift.service.kmeanspp.sketch import Directions, find_directions, plain_sketch, upper_gaps
from tests.unit.seeding_pools import heavy_tailed, points_of

KINDS = {
    "any": heavy_tailed(300, 6, seed=0),
    "in a plane": (heavy_tailed(300, 2, seed=1) >> 1) @ np.array([[1, 0, 1, -1], [0, 1, 1, 1]]),
    "of one column": heavy_tailed(300, 1, seed=2),
    "all zero": np.zeros((300, 4)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_distance_is_above_its_bound_and_sketches_are_no_farther_apart(kind: str) -> None:
    points = points_of(KINDS[kind])
    directions, centres = find_directions(points.take(slice(128))), points.take(slice(0, 300, 20))
    theirs, gaps = (directions.sketch(centres), centres.squares), squared_gaps(points, centres)
    assert (upper_gaps((directions.sketch(points), points.squares), theirs) >= gaps).all()
    own, other = (plain_sketch(some, directions.orthonormal[0]).astype(float) for some in (points, centres))
    apart = ((own[:, :, None] - other[:, None]) ** 2).sum(0)
    assert (apart <= gaps * (1.0 + 2.0**-9) + points.squares[:, None] * 2.0**-27).all()


def test_points_in_the_span_have_bounds_that_are_their_distances() -> None:
    points = points_of(KINDS["in a plane"])
    directions = find_directions(points)
    sketch = directions.sketch(points), points.squares
    scale = points.squares[:, None] + points.squares
    assert directions.count == 2
    assert (np.abs(upper_gaps(sketch, sketch) - squared_gaps(points, points)) <= 1e-6 * scale).all()


def test_directions_are_those_along_which_points_are_longest() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(400, 20)) * np.array([100.0, 60.0, 40.0, *np.ones(17)])
    points = points_of(np.rint(rows * 1_000))
    spread = np.linalg.svd(points.factors64[0])[1] ** 2
    rest = (find_directions(points.take(slice(128))).sketch(points)[:, -1] ** 2).sum()
    assert spread[3:].sum() <= rest <= 1.1 * spread[3:].sum()


def test_directions_of_products_are_products_of_directions() -> None:
    left, right = heavy_tailed(50, 3, seed=1) >> 4, heavy_tailed(50, 5, seed=2) >> 4
    points = Points(np.arange(50), (left.astype(np.float32), right.astype(np.float32)))
    directions = find_directions(points)
    assert directions.count == 4
    sketch = directions.sketch(points), points.squares
    assert (upper_gaps(sketch, sketch) >= squared_gaps(points, points)).all()


def test_directions_travel_without_what_was_computed_from_them() -> None:
    directions = find_directions(points_of(KINDS["any"]))
    before = len(pickle.dumps(directions))
    assert directions.orthonormal[0].shape == (3, 6)
    copy: Directions = pickle.loads(pickle.dumps(directions))
    assert copy.are(directions)
    assert len(pickle.dumps(directions)) == before
    assert not directions.are(find_directions(points_of(KINDS["any"][:9])))
