"""On a GPU: the picks of the CPU, for the same points."""

import numpy as np
import pytest
import torch

from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.farthest_first import farthest_first
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.seeding import SeedingSpec
from negsift.service.kmeanspp.torch_backend import TorchBackend
from tests.unit.seeding_pools import heavy_tailed, points_of, pool_of
from tests.unit.toys import assert_same, cnn, select, shared_bag_set

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]


def on_gpu(points: Points) -> TorchBackend:
    return TorchBackend(points, torch.device("cuda"))


@pytest.mark.parametrize("draw", [d2_sample, farthest_first])
@pytest.mark.parametrize("precision", ["highest", "high"])
@pytest.mark.parametrize(("count", "columns", "centres"), [(500, 3, 200), (50_000, 84, 1_000), (20_000, 512, 300)])
def test_picks_are_those_of_the_cpu(draw, precision: str, count: int, columns: int, centres: int) -> None:  # type: ignore[no-untyped-def]  # either of two functions
    points, spec = points_of(heavy_tailed(count, columns, seed=1)), SeedingSpec(centres, 2, 3)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    seeding = draw(pool_of(points, 1, on_gpu), spec)
    torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(seeding.index, draw(pool_of(points), spec).index)


def test_scores_by_a_gpu_are_the_same_on_any_number_of_shards() -> None:
    pool = shared_bag_set(120, 90)
    one, other = (select(pool, cnn(), "badge", 20, shards=shards) for shards in (1, 3))
    assert_same(one, other)
