"""Points that a shard keeps in a temporary file."""

import numpy as np
import pytest

from negsift.common.errors import ServiceError
from negsift.common.types import Embedded, EmbeddingSpec, Need
from negsift.service.points.bag_points import BagPoints, PointsSpec
from tests.unit.full_disk import largest_file
from tests.unit.toys import embedded

FEATURES = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
BAGS = embedded(np.zeros((50, 2)), FEATURES)
SPEC = PointsSpec(EmbeddingSpec(Need.FEATURES), of="features")


def test_points_in_a_file_are_those_in_memory() -> None:
    there, here = (BagPoints([BAGS], 50, SPEC, limit_bytes) for limit_bytes in (0, 1 << 20))
    assert there.measured == here.measured
    grid = SPEC.grid([here.measured])
    np.testing.assert_array_equal(there.rows(grid).points.factors[0], here.rows(grid).points.factors[0])


@pytest.mark.parametrize("units", [(1.0, 2.0**-100, 2.0**30), (2.0**-200, 2.0**-100, 1.0), (2.0**200, 1.0, 0.0)])
def test_parts_of_any_unit_are_points_of_one_grid(units: tuple[float, ...]) -> None:
    """The unit of a shard's numbers changes while its parts come, and the points don't show it."""
    rows = np.random.default_rng(1).integers(-1000, 1000, (3, 4, 2)) / 1000.0
    rows = rows.astype(np.float32)  # whose rounding is the same in every unit
    scaled = [row.astype(np.float64) * unit for row, unit in zip(rows, units, strict=True)]
    parts = [Embedded(np.arange(4) + 4 * at, np.zeros((4, 2)), row) for at, row in enumerate(scaled)]
    points = BagPoints(parts, 12, SPEC, 1 << 20)
    grid = SPEC.grid([points.measured])
    steps = points.rows(grid).points.factors[0]
    everything = np.concatenate(scaled)
    np.testing.assert_array_equal(steps, np.rint(np.ldexp(everything, -grid.exponents[0])))
    assert np.abs(steps).max() > 1 << 18
    assert points.measured.dropped == 0


def test_points_without_room_are_an_error_that_names_the_folder() -> None:
    message = r"no room for 0\.0 MiB of points in /\S+ \(File too large\)"
    with largest_file(100), pytest.raises(ServiceError, match=message):
        BagPoints([BAGS], 50, SPEC, 0)
