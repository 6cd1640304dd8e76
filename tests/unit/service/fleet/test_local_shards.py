"""Shards on all GPUs of a machine, tried with several devices that are all this CPU; blocks that a device finds."""

import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from negsift.common.errors import BadInput, ServiceError
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.start import local_devices, local_shards
from tests.unit.service.test_sampler import CASES, K
from tests.unit.toys import MeanNet, assert_same, select, vectors

CPU = torch.device("cpu")
AUTO = FleetConfig(block="auto")


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("negsift.service.start.local_devices", lambda: [CPU, CPU])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["badge", "svm_margin"])
def test_devices_make_no_difference(case: str, name: str, request: pytest.FixtureRequest) -> None:
    pool, positives, model = CASES[case]()
    one = select(pool, model, name, K, positives=positives, shards=1)
    request.getfixturevalue("two_devices")
    for shards in (1, 2, 5):
        assert_same(select(pool, model, name, K, positives=positives, shards=shards), one)


class Meeting(MeanNet):
    """In its first pass waits for a pass of another copy at the same time."""

    moment = threading.Barrier(2)
    passes: dict[int, int] = {}  # noqa: RUF012  # of all copies

    def forward(self, bags: Tensor) -> Tensor:
        if id(self) not in self.passes:
            self.moment.wait(60)
        self.passes[id(self)] = self.passes.get(id(self), 0) + 1
        return super().forward(bags)


@pytest.mark.usefixtures("two_devices")
def test_devices_work_side_by_side_with_a_model_each() -> None:
    pool = vectors([3] * 64)
    found = select(pool, Meeting(), "entropy", 5, shards=2)
    assert len(Meeting.passes) == 2
    np.testing.assert_array_equal(found.index, select(pool, MeanNet(), "entropy", 5).index)


class Failing(MeanNet):
    """Raises in every pass but the first."""

    passes = 0

    def forward(self, bags: Tensor) -> Tensor:
        Failing.passes += 1
        if Failing.passes > 2:
            raise ZeroDivisionError("a fault of the network")
        return super().forward(bags)


@pytest.mark.usefixtures("two_devices")
def test_an_error_on_one_device_comes_unchanged() -> None:
    with pytest.raises(ZeroDivisionError, match="a fault of the network"):
        select(vectors([3] * 64), Failing(), "entropy", 5, shards=2)


def test_a_gpu_has_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    devices = local_devices()
    assert devices == [torch.device("cuda", number) for number in range(3)]
    assert local_shards(FleetConfig(), devices) == 3
    assert local_shards(FleetConfig(shards=7), devices) == 7
    assert local_shards(FleetConfig(), [CPU]) == FleetConfig().shard_count()


@pytest.mark.parametrize("share", [2.0, 1.5])
def test_a_shard_has_one_gpu_at_most(share: float) -> None:
    with pytest.raises(BadInput, match=rf"gpus_per_shard={share:g}; expected at most 1: a shard computes on one GPU"):
        FleetConfig(gpus_per_shard=share)


class Hungry(MeanNet):
    """Finds memory for batches of so many bags."""

    most = 8

    def forward(self, bags: Tensor) -> Tensor:
        if len(bags) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return super().forward(bags)


def test_blocks_found_by_a_device_are_halved_where_memory_runs_out_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("negsift.service.fleet.local_shards.device_block", lambda *_: 32)
    pool, net = vectors([3] * 100), Hungry()
    with NegativeSampler(pool, net, strategy="badge", k=K, shards=2, options=AUTO) as sampler:
        assert sampler.block == 32
        first, second = (sampler.select(net.state_dict(), epoch) for epoch in range(2))
    assert first.account.block == second.account.block == 8
    assert_same(first, select(pool, MeanNet(), "badge", K, options=FleetConfig(block=8)))
    said = [message for message in caplog.messages if "from now on" in message and "picks may differ" in message]
    assert [message.split("blocks have ")[1].split()[0] for message in said] == ["16", "8"]


def test_blocks_of_a_given_size_are_never_cut() -> None:
    with pytest.raises(ServiceError, match=r"no memory to embed block 0 of the pool \(32 bags\)"):
        select(vectors([3] * 100), Hungry(), "entropy", K, options=FleetConfig(block=32))


@pytest.mark.parametrize("options", [{}, {"block": "auto"}, {"block": 64}])
def test_on_a_cpu_blocks_have_64_bags(options: dict[str, Any]) -> None:
    pool, net = vectors([3] * 200), MeanNet()
    found = select(pool, net, "badge", K, options=FleetConfig(**options))
    assert found.account.block == 64
    assert_same(found, select(pool, net, "badge", K, options=FleetConfig()))


@pytest.mark.parametrize("block", ["", "large", "64"])
def test_other_words_for_a_block_are_refused(block: str) -> None:
    with pytest.raises(BadInput, match=f"fleet.block='{block}'; expected a number of bags, or auto"):
        FleetConfig(block=block)
