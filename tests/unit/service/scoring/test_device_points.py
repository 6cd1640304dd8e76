"""Points on a device with little memory: they stay in main memory, or go back there, and the picks are the same."""

import gc

import numpy as np
import pytest
import torch

from negsift.common.arrays import Index
from negsift.service.config import FleetConfig
from negsift.service.kmeanspp.cpu_backend import CpuBackend
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.torch_backend import TorchBackend
from negsift.service.scoring.byte_limited_cache import ByteBudget
from negsift.service.scoring.device_points import DevicePoints
from tests.unit.seeding_pools import heavy_tailed, points_of
from tests.unit.toys import assert_same, select, vector_model, vectors

GIB = 1 << 30
CPU = torch.device("cpu")


def test_points_take_their_memory_and_give_it_back() -> None:
    points, budget = points_of(heavy_tailed(1000, 16, seed=1)), ByteBudget(2 * GIB)
    backend = DevicePoints(CPU, budget)(points)
    assert isinstance(backend, TorchBackend)
    assert budget.used_bytes == 1000 * (4 * 16 + 16) + GIB
    assert isinstance(DevicePoints(CPU, budget)(points), CpuBackend)  # for which there is no room besides
    del backend
    gc.collect()
    assert budget.used_bytes == 0


def test_points_for_which_memory_runs_out_stay_in_main_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("negsift.service.scoring.device_points.TorchBackend", refused)
    budget = ByteBudget(2 * GIB)
    assert isinstance(DevicePoints(CPU, budget)(points_of(heavy_tailed(100, 4, seed=1))), CpuBackend)
    assert budget.used_bytes == 0


class ShortBackend(TorchBackend):
    """Finds no memory for centres after a few calls."""

    calls = 0

    def lower_bounds(self, centres: Points) -> Index:
        ShortBackend.calls += 1
        if ShortBackend.calls > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return super().lower_bounds(centres)


@pytest.mark.parametrize("name", ["badge", "k_center"])
def test_a_seeding_goes_on_in_main_memory(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool, model, options = vectors([3] * 300), vector_model(), FleetConfig(block=8, held_mb=0)
    plain = select(pool, model, name, 120, options=options)
    monkeypatch.setattr("negsift.service.scoring.device_points.TorchBackend", ShortBackend)
    monkeypatch.setattr("negsift.service.scoring.shard_spec.ShardSpec.device_budget", lambda *_: ByteBudget(8 * GIB))
    ShortBackend.calls = 0
    assert_same(select(pool, model, name, 120, options=options), plain)
    assert ShortBackend.calls > 1
    assert any(message.startswith("no memory for points on the device") for message in caplog.messages)
    np.testing.assert_array_equal(plain.index, select(pool, model, name, 120, options=options).index)
