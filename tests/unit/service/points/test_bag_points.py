"""Points that a shard keeps in a temporary file."""

import numpy as np
import pytest

from negsift.common.errors import ServiceError
from negsift.common.types import EmbeddingSpec, Need
from negsift.service.points.bag_points import BagPoints, Grid, PointsSpec
from tests.unit.full_disk import largest_file
from tests.unit.toys import embedded

FEATURES = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
BAGS = embedded(np.zeros((50, 2)), FEATURES)
SPEC = PointsSpec(EmbeddingSpec(Need.FEATURES), of="features")


def test_points_in_a_file_are_those_in_memory() -> None:
    there, here = (BagPoints([BAGS], 50, SPEC, limit_bytes) for limit_bytes in (0, 1 << 20))
    assert there.measured == here.measured
    grid = Grid.over([here.measured])
    np.testing.assert_array_equal(there.rows(grid).points.factors[0], here.rows(grid).points.factors[0])


def test_points_without_room_are_an_error_that_names_the_folder() -> None:
    message = r"no room for 0\.0 MiB of points in /\S+ \(File too large\)"
    with largest_file(100), pytest.raises(ServiceError, match=message):
        BagPoints([BAGS], 50, SPEC, 0)
