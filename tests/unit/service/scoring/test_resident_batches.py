"""Bags that stay on a device: read and copied once, with the picks of those that are read each round."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from negsift.common.data.bagset import BagBatch
from negsift.common.models.embedder import as_embedder
from negsift.common.types import EmbeddingSpec, Need
from negsift.common.weights import take_snapshot
from negsift.service import NegativeSampler
from negsift.service.scoring.byte_limited_cache import ByteBudget
from negsift.service.scoring.model_runner import ModelRunner
from negsift.service.scoring.resident_batches import ResidentBatches
from negsift.service.scoring.scoring_config import ScoringConfig
from tests.unit.service.scoring.test_device_pipeline import SlowLanes
from tests.unit.service.scoring.test_scoring_config import how
from tests.unit.service.test_sampler import CASES, K
from tests.unit.toys import MeanNet, assert_same, vectors


def a_device(monkeypatch: pytest.MonkeyPatch, limit_bytes: int) -> SlowLanes:
    """Shards are on a device with so much memory for what is kept."""
    lanes = SlowLanes()
    monkeypatch.setattr("negsift.service.scoring.shard.lanes_to", lambda *_: lanes)
    monkeypatch.setattr(
        "negsift.service.scoring.shard_spec.ShardSpec.device_budget", lambda *_: ByteBudget(limit_bytes)
    )
    return lanes


def rounds(case: str, resident: bool, lanes: SlowLanes | None = None) -> tuple[list[Any], list[int]]:
    """Three rounds with other weights each, and how much was copied to the device in each."""
    pool, positives, model = CASES[case]()
    found, copied = [], []
    with NegativeSampler(
        pool, model, strategy="badge", k=K, positives=positives, shards=2, options=how(resident=resident)
    ) as sampler:
        for epoch in range(3):
            before = lanes.log.count("upload") if lanes else 0
            weights = {key: value * (1.0 + 0.1 * epoch) for key, value in model.state_dict().items()}
            found.append(sampler.select(weights, epoch))
            copied.append(lanes.log.count("upload") - before if lanes else 0)
    return found, copied


@pytest.mark.parametrize("case", CASES)
def test_a_pool_that_fits_is_copied_once(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = rounds(case, resident=False)
    found, copied = rounds(case, True, a_device(monkeypatch, 1 << 30))
    for one, other in zip(found, plain, strict=True):
        assert_same(one, other)
    assert copied[0] > 0
    known = copied[1]  # features of shared instances, which are others in each round
    assert copied[2] == known < copied[0]
    assert known == 0 or case == "shared"


def test_of_a_pool_that_does_not_fit_a_part_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = rounds("vectors", resident=False)
    found, copied = rounds("vectors", True, a_device(monkeypatch, 4_000))
    assert 0 < copied[1] == copied[2] < copied[0]
    for one, other in zip(found, plain, strict=True):
        assert_same(one, other)


def test_without_the_option_everything_is_copied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _, copied = rounds("vectors", False, a_device(monkeypatch, 1 << 30))
    assert copied[0] == copied[1] == copied[2] > 0


def test_what_is_kept_takes_a_part_of_the_budget_and_is_given_back() -> None:
    budget = ByteBudget(1000)
    batches = ResidentBatches(budget)
    for key in range(5):
        batches.present(key, torch.zeros(25))  # 100 bytes
    assert [batches.has(key) for key in range(5)] == [True] * 4 + [False]
    assert budget.used_bytes == 400
    batches.present("words", ["no tensor"])
    assert not batches.has("words")
    batches.clear()
    assert budget.used_bytes == 0
    bags = BagBatch(torch.zeros(6, 5), np.array([2, 4]))
    assert batches.present("bags", bags) is bags
    assert batches.present("bags", None) is bags


def test_another_version_of_the_pool_is_read_again() -> None:
    net = MeanNet()
    runner = ModelRunner(as_embedder(net), ScoringConfig(resident=True), ByteBudget(0), ByteBudget(1 << 20))
    weights, reads = take_snapshot(net.state_dict(), 0), []

    def read() -> Tensor:
        reads.append(1)
        return torch.stack(vectors([3] * 4))

    for version in (1, 1, 2):
        runner.load(replace(weights, pool_version=version))
        runner.embed(runner.read("block", read), np.arange(4), EmbeddingSpec(Need.LOGITS), "block")
    assert len(reads) == 2


def test_batches_make_room_where_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hungry(MeanNet):
        """Finds no memory once, in its second round."""

        passes = 0

        def forward(self, bags: Tensor) -> Tensor:
            Hungry.passes += 1
            if Hungry.passes == 8:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return super().forward(bags)

    lanes = a_device(monkeypatch, 1 << 30)
    pool, net = vectors([3] * 40), Hungry()
    with NegativeSampler(pool, net, strategy="entropy", k=5, shards=1, options=how(resident=True)) as sampler:
        first = sampler.select(net.state_dict(), 0)
        second = sampler.select({key: value * 1.5 for key, value in net.state_dict().items()}, 1)
        third = sampler.select({key: value * 2.0 for key, value in net.state_dict().items()}, 1)
    assert "release" in lanes.log
    with NegativeSampler(pool, MeanNet(), strategy="entropy", k=5, options=how()) as plain:
        assert_same(plain.select({key: value * 2.0 for key, value in net.state_dict().items()}, 1), third)
        assert_same(first, plain.select(net.state_dict(), 0))
        assert_same(second, plain.select({key: value * 1.5 for key, value in net.state_dict().items()}, 1))
