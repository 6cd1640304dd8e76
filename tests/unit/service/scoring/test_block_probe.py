"""The largest block that a device's memory allows: estimated, tried, halved."""

import pytest
import torch

from negsift.common.errors import ServiceError
from negsift.service.scoring.block_probe import device_block, largest_block
from negsift.service.scoring.device_memory import CONTEXT_BYTES, allowed_fraction, limit_memory
from negsift.service.scoring.shard_spec import ShardSpec
from tests.unit.service.test_sampler import CASES

GIB = 1 << 30


class Device:
    """A batch takes `bag` bytes a bag, and `peak` while it is computed; there are `holds` bytes."""

    def __init__(self, holds: int, bag: int, peak: int, free: int | None = None) -> None:
        self.free_bytes, self._holds, self._bag, self._peak = (free or holds) // 2, holds, bag, peak
        self.tried: list[int] = []

    def used_bytes(self, bags: int) -> tuple[int, int]:
        self.tried.append(bags)
        if bags * self._peak > self._holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return bags * self._bag, bags * self._peak


@pytest.mark.parametrize(
    ("peak", "bags", "expected"),
    [(10_000, 1_000_000, 4096), (10_000, 20_000, 1024), (10_000, 1_000, 64), (60 << 20, 1_000_000, 128)],
    ids=["a small network", "a small pool", "a tiny pool", "a large network"],
)
def test_blocks_are_as_large_as_memory_and_pool_allow(peak: int, bags: int, expected: int) -> None:
    device = Device(20 * GIB, 1_000, peak)
    assert largest_block(device, bags) == expected
    assert device.tried[-1] == expected or bags < 2048


def test_batches_that_are_copied_ahead_count() -> None:
    assert largest_block(Device(20 * GIB, 1 << 20, 2 << 20), 1_000_000) == 2048
    assert largest_block(Device(20 * GIB, 4 << 20, 5 << 20), 1_000_000) == 512


def test_what_does_not_fit_after_all_is_halved_and_said(caplog: pytest.LogCaptureFixture) -> None:
    device = Device(GIB, 1_000, 1 << 20, free=64 * GIB)  # another process took the rest
    assert largest_block(device, 1_000_000) == 1024
    assert caplog.messages == [
        "no memory for blocks of 4096 bags: halved to 2048", "no memory for blocks of 2048 bags: halved to 1024"
    ]  # fmt: skip


def test_a_device_without_memory_for_the_usual_block_gets_a_smaller_one() -> None:
    assert largest_block(Device(GIB, 1_000, 100 << 20), 1_000_000) == 8
    with pytest.raises(ServiceError, match="no memory to embed a bag of the pool.*CUDA out of memory"):
        largest_block(Device(GIB, 1_000, 2 * GIB), 1_000_000)


def test_other_errors_are_the_users_own() -> None:
    class Broken(Device):
        def used_bytes(self, bags: int) -> tuple[int, int]:
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        largest_block(Broken(GIB, 1, 1), 1_000_000)


def test_a_cpu_has_the_usual_block() -> None:
    pool, positives, model = CASES["vectors"]()
    spec = ShardSpec(pool, positives, model, 1, 8, 0, None)  # type: ignore[arg-type]  # of which nothing is read
    assert device_block(spec, model, torch.device("cpu")) == 64


@pytest.mark.parametrize("share", [0.25, 0.5, 0.1, 0.001])
def test_processes_with_parts_of_a_gpu_fit_on_it_with_what_cuda_takes(share: float) -> None:
    total = 80 * GIB
    fraction = allowed_fraction(share, total)
    assert share / 2 <= fraction < share
    if share > 0.02:
        assert fraction * total + CONTEXT_BYTES == pytest.approx(share * total)


@pytest.mark.parametrize(("share", "limits"), [(0.25, 1), (1.0, 0)])
def test_a_process_is_limited_to_its_part(share: float, limits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        total_memory = 80 * GIB

    found: list[float] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 0)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: Properties)
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", found.append)
    limit_memory(share)
    assert found == [allowed_fraction(share, 80 * GIB)] * limits
