"""On a GPU: the pipeline has the bits of one block after another, blocks are found, memory that runs out is a line."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from negsift.common.errors import ServiceError
from negsift.common.gpu_arithmetic import IEEE, gpu_arithmetic
from negsift.common.types import Selection
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.scoring.scoring_config import ScoringConfig
from tests.unit.service.test_sampler import CASES, K
from tests.unit.toys import BLOCK, MeanNet, assert_same, bag_set, cnn, select, vectors

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["badge", "entropy"])
def test_the_bits_are_those_of_one_block_after_another(case: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, positives, model = CASES[case]()
    found = [select(pool, model, name, K, positives=positives, shards=shards) for shards in (1, 3)]
    monkeypatch.setattr("negsift.service.scoring.shard.lanes_to", lambda *_: None)
    monkeypatch.setattr("negsift.service.fleet.local_shards.READERS", 1)  # of which one thread embeds
    with gpu_arithmetic(IEEE):
        plain = select(pool, model, name, K, positives=positives, shards=1)
    for one in found:
        assert_same(one, plain)


def scores(precision: str) -> Selection:
    return select(
        bag_set([5] * 400), cnn(), "margin", 400, options=FleetConfig(block=64, scoring=ScoringConfig(precision))
    )


def test_tf32_is_off_unless_it_is_named() -> None:
    by_precision = {name: scores(name) for name in ("float32", "tf32", "bfloat16")}
    settings = torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.benchmark
    assert settings == ("tf32", False)  # as torch has them
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.is_available", lambda: False)
        on_cpu = scores("float32")
    order = {name: np.argsort(found.index) for name, found in by_precision.items()}
    exact = on_cpu.score[np.argsort(on_cpu.index)]
    worst = {name: np.abs(found.score[order[name]] - exact).max() for name, found in by_precision.items()}
    assert worst["float32"] < 1e-5
    assert worst["float32"] < worst["bfloat16"]
    if torch.cuda.get_device_capability() >= (8, 0):
        assert worst["tf32"] > 4 * worst["float32"]


def test_two_samplers_give_the_same_bits() -> None:
    for precision in ("float32", "tf32", "bfloat16"):
        assert_same(scores(precision), scores(precision))


def test_blocks_are_found_and_recorded() -> None:
    pool, net = vectors([5] * 50_000, width=32), MeanNet(width=32)
    with NegativeSampler(pool, net, strategy="entropy", k=K, options=FleetConfig(block="auto")) as sampler:
        assert 512 <= sampler.block <= 4096
        found = sampler.select(net.state_dict(), 0)
        assert found.account.block == sampler.block
    other = FleetConfig(block=found.account.block)
    assert_same(found, select(pool, net, "entropy", K, options=other))


@pytest.fixture
def little_memory() -> Iterator[None]:
    """This process may take 2 GiB of the GPU."""
    torch.cuda.empty_cache()
    total_bytes = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (2 << 30)) / total_bytes)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


class Wide(MeanNet):
    """Takes 4 MiB a bag."""

    def forward(self, bags: Tensor) -> Tensor:
        filler = bags.new_ones(len(bags), 1 << 20)
        return super().forward(bags) + 0.0 * filler.sum(1, keepdim=True)


@pytest.mark.usefixtures("little_memory")
def test_a_block_that_does_not_fit_is_a_line_and_one_that_is_found_fits() -> None:
    pool = vectors([3] * 40_000)
    with pytest.raises(ServiceError, match=r"no memory to embed block 0 of the pool \(2048 bags\).*lower fleet.block"):
        select(pool, Wide(), "entropy", K, shards=1, options=FleetConfig(block=2048))
    net = Wide()
    with NegativeSampler(pool, net, strategy="entropy", k=K, shards=1, options=FleetConfig(block="auto")) as sampler:
        assert 64 <= sampler.block <= 512
        found = sampler.select(net.state_dict(), 0)
    assert_same(found, select(pool, net, "entropy", K, options=FleetConfig(block=found.account.block)))


@pytest.mark.parametrize("name", ["badge", "k_center"])
def test_points_and_features_that_are_not_kept_on_the_gpu_change_nothing(name: str) -> None:
    pool, model = bag_set([3] * 300), cnn()
    kept, not_kept = (
        select(pool, model, name, 60, options=FleetConfig(
            block=BLOCK, held_mb=0, device_mb=size, scoring=ScoringConfig(frozen=True)))
        for size in (None, 0)
    )  # fmt: skip
    assert_same(kept, not_kept)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
def test_all_gpus_score_and_make_no_difference() -> None:
    pool, model = bag_set([5] * 400), cnn()
    with NegativeSampler(pool, model, strategy="badge", k=K, options=FleetConfig(block=BLOCK)) as sampler:
        found = sampler.select(model.state_dict(), 0)
    assert_same(found, select(pool, model, "badge", K, shards=1))
