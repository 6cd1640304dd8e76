"""Models as they are in training: in other precisions, wrapped by libraries, with padded bags and torch's settings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from negsift.common.errors import BadModel
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.strategies import STRATEGIES
from tests.unit.toys import MeanNet, assert_same, select, vectors
from tests.unit.trainer.callbacks.toy_loop import accelerator

POOL, POSITIVES = vectors([3] * 40), vectors([3] * 7, seed=1)
PLAIN = select(POOL, MeanNet(), "badge", 9)


class Halved(MeanNet):
    """Runs in bfloat16 by itself, as torch asks for in models for DataParallel."""

    def forward(self, bags: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(bags)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_takes_a_model_with_autocast_in_its_forward(name: str) -> None:
    k = None if name == "full" else 9
    one, three = (select(POOL, Halved(), name, k, shards=shards, positives=POSITIVES) for shards in (1, 3))
    assert_same(one, three)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", ["entropy", "badge"])
def test_model_and_pool_may_be_of_another_precision(dtype: torch.dtype, name: str) -> None:
    chosen = select([bag.to(dtype) for bag in POOL], MeanNet().to(dtype), name, 9)
    assert len(chosen.index) == 9
    assert np.isfinite(chosen.score).all()


def test_weights_in_half_precision_are_those_that_score() -> None:
    halved = {name: value.bfloat16() for name, value in MeanNet().state_dict().items()}
    rounded = {name: value.float() for name, value in halved.items()}
    with NegativeSampler(POOL, MeanNet(), strategy="badge", k=9, options=FleetConfig(block=8)) as sampler:
        assert_same(sampler.select(halved, 0), sampler.select(rounded, 0))


@contextmanager
def default(setter: Callable[[Any], None], value: object, before: object) -> Iterator[None]:
    """A setting of torch's, for a while."""
    setter(value)
    try:
        yield
    finally:
        setter(before)


AROUND: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "deterministic algorithms": lambda: default(torch.use_deterministic_algorithms, True, False),
    "float64 by default": lambda: default(torch.set_default_dtype, torch.float64, torch.float32),
    "another device by default": lambda: default(torch.set_default_device, "meta", "cpu"),
    "nothing": nullcontext,
}


@pytest.mark.parametrize("name", AROUND)
def test_what_the_caller_sets_around_a_selection_changes_no_pick(name: str) -> None:
    model = MeanNet()
    with AROUND[name]():
        found = select(POOL, model, "badge", 9)
    assert_same(found, PLAIN)


def ragged(count: int) -> list[dict[str, Tensor]]:
    """Bags as items of torchmil's datasets."""
    return [{"X": bag, "Y": torch.tensor(0)} for bag in vectors([1 + bag * 7 % 5 for bag in range(count)])]


def padded(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch as torchmil's `collate_fn` makes it; what lies under the padding must not count."""
    bags = nn.utils.rnn.pad_sequence([item["X"] for item in items], batch_first=True, padding_value=9.0)
    sizes = torch.tensor([len(item["X"]) for item in items])
    return {"X": bags, "mask": (torch.arange(bags.shape[1]) < sizes[:, None]).float()}


class OnInstances(MeanNet):
    """Its head reads instances, the padding, too."""

    def forward(self, X: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]  # as in torchmil
        logits = self.fc(self.body(X).tanh()) * mask[..., None]
        return logits.sum(1) / mask.sum(1, keepdim=True)


class OnBags(MeanNet):
    """Its head reads pooled bags; it takes the batch as it is."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:  # type: ignore[override]  # another form of bags
        hidden = self.body(batch["X"]).tanh() * batch["mask"][..., None]
        return self.fc(hidden.sum(1) / batch["mask"].sum(1, keepdim=True))


@pytest.mark.parametrize("name", ["entropy", "badge", "svm_margin", "random"])
def test_padded_bags_with_a_mask_are_picked_wherever_the_head_is(name: str) -> None:
    given = {"positives": ragged(9), "collate": padded}
    one, other = (select(ragged(40), net, name, 9, **given) for net in (OnInstances(), OnBags()))
    assert set(one.index.tolist()) == set(other.index.tolist())
    np.testing.assert_allclose(np.sort(one.score), np.sort(other.score), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scoring", [{"frozen": True}, {"precision": "bfloat16"}])
def test_features_kept_of_padded_bags_leave_the_padding_out(scoring: dict[str, Any]) -> None:
    from tests.unit.service.scoring.test_scoring_config import how

    found = select(ragged(40), OnInstances(), "margin", 40, collate=padded, options=how(**scoring))
    plain = select(ragged(40), OnBags(), "margin", 40, collate=padded)
    scores = [each.score[np.argsort(each.index)] for each in (found, plain)]
    np.testing.assert_allclose(*scores, rtol=0.1, atol=0.02)


@pytest.fixture
def process_group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_a_model_in_ddp_and_its_weights_go_with_the_plain_ones() -> None:
    parallel = nn.parallel.DistributedDataParallel(MeanNet())
    for model, weights in ((parallel, MeanNet()), (MeanNet(), parallel), (parallel, parallel)):
        with NegativeSampler(POOL, model, strategy="badge", k=9, options=FleetConfig(block=8)) as sampler:
            assert_same(sampler.select(weights.state_dict(), 0), PLAIN)


@pytest.mark.usefixtures("process_group")
def test_weights_of_a_model_in_fsdp_select_with_a_sampler_made_before_or_by_a_function() -> None:
    sharded = fully_shard(MeanNet(), mesh=init_device_mesh("cpu", (1,)))
    with pytest.raises(BadModel, match="build the sampler before training, or give a function that makes the model"):
        NegativeSampler(POOL, sharded, k=9)
    for model in (MeanNet(), lambda: MeanNet()):
        with NegativeSampler(POOL, model, strategy="badge", k=9, options=FleetConfig(block=8)) as sampler:
            assert_same(sampler.select(sharded.state_dict(), 0), PLAIN)


def test_a_model_prepared_by_accelerate_is_scored_with_the_weights_given() -> None:
    pytest.importorskip("accelerate")
    model = (prepared := accelerator()).prepare(MeanNet())
    model(torch.stack(POOL)).sum().backward()
    weights = {name: value.clone() for name, value in prepared.get_state_dict(model).items()}
    with NegativeSampler(POOL, model, strategy="badge", k=9, options=FleetConfig(block=8)) as sampler:
        before = sampler.select(weights, 0)
        nn.init.zeros_(model.body.weight)
        assert_same(sampler.select(weights, 0), before)
        assert_same(select(POOL, Halved(), "badge", 9), before)


@pytest.mark.parametrize(
    "adapted", [{"target_modules": ["body"]}, {"target_modules": ["body", "fc"]}, {"target_modules": ["body"], "modules_to_save": ["fc"]}]
)  # fmt: skip
def test_a_model_in_pefts_wrapper_picks_as_the_one_inside_while_its_additions_are_zero(adapted: Any) -> None:
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(MeanNet(), peft.LoraConfig(r=2, **adapted))
    model(torch.stack(POOL[:4])).sum().backward()
    np.testing.assert_array_equal(select(POOL, model, "badge", 9).index, PLAIN.index)


@pytest.mark.filterwarnings("ignore")  # the library's own code is warned about
@pytest.mark.parametrize("name", ["entropy", "badge"])
def test_a_model_of_hugging_faces_takes_rows_as_its_collator_batches_them(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 50,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    }
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**sizes))
    texts = torch.randint(0, 50, (40, 7))
    rows = [{"input_ids": text, "attention_mask": torch.ones(7, dtype=torch.int64), "label": 0} for text in texts]
    found = select(rows, model, name, 9, collate=transformers.default_data_collator)
    logits = model.eval()(texts).logits.detach()
    if name == "entropy":
        assert set(found.index.tolist()) == set((logits[:, 1] - logits[:, 0]).abs().argsort()[:9].tolist())
    assert len(found.index) == 9
