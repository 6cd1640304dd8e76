"""Cheaper ways to run the model: which numbers they change, and that shards still make no difference."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.errors import BadInput, BadModel, UnknownName
from negsift.common.models.bag import BagClassifier
from negsift.common.models.pooling import make_pooling
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.scoring.scoring_config import ScoringConfig
from tests.unit.service.test_sampler import CASES, K
from tests.unit.toys import BLOCK, MeanNet, assert_same, select, vector_model, vectors

LAST = {"vectors": "head", "ragged": "head", "shared": "head", "own network": "fc"}


def how(**scoring: Any) -> FleetConfig:  # Any: ScoringConfig's
    return FleetConfig(block=BLOCK, scoring=ScoringConfig(**scoring))


def with_other_head(model: nn.Module, name: str) -> dict[str, Tensor]:
    return {key: value * -1.5 if key.startswith(f"{name}.") else value for key, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("case", "name"), [*((case, "badge") for case in LAST), ("vectors", "entropy"), ("vectors", "svm_margin")]
)
@pytest.mark.parametrize("scoring", [{"precision": "bfloat16"}, {"channels_last": True}, {"frozen": True}])
def test_shards_make_no_difference(case: str, name: str, scoring: dict[str, Any]) -> None:
    pool, positives, model = CASES[case]()
    one = select(pool, model, name, K, positives=positives, shards=1, options=how(**scoring))
    assert_same(select(pool, model, name, K, positives=positives, shards=3, options=how(**scoring)), one)


@pytest.mark.parametrize("case", LAST)
def test_bfloat16_scores_are_near_those_of_float32(case: str) -> None:
    pool, _, model = CASES[case]()
    plain = select(pool, model, "margin", 40, options=how())
    half = select(pool, model, "margin", 40, options=how(precision="bfloat16"))
    scores = [found.score[np.argsort(found.index)] for found in (plain, half)]
    np.testing.assert_allclose(scores[1], scores[0], rtol=0.1, atol=0.05)
    assert not np.array_equal(*scores)
    assert len(np.unique(half.score)) > 30  # the head is in float32, so that logits hardly ever tie


class CountingEncoder(nn.Module):
    """Vectors to features; counts the instances that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.seen = nn.Linear(6, 4), [0]

    def __deepcopy__(self, memo: dict[int, Any]) -> "CountingEncoder":
        made = CountingEncoder()
        made.load_state_dict(self.state_dict())
        made.seen = self.seen
        return made

    def forward(self, instances: Tensor) -> Tensor:
        self.seen[0] += len(instances)
        return self.linear(instances).tanh()


def counting_model() -> BagClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return BagClassifier(CountingEncoder(), nn.Linear(4, 2), make_pooling("mean_softmax", 4))


def test_features_of_a_frozen_backbone_are_made_once() -> None:
    model, pool = counting_model(), vectors([3] * 40)
    seen = model.encoder.seen
    with NegativeSampler(pool, model, strategy="badge", k=K, shards=2, options=how(frozen=True)) as sampler:
        sampler.select(model.state_dict(), 0)
        assert seen[0] == 120
        again = sampler.select(with_other_head(model, "head"), 1)
        assert seen[0] == 120
        moved = {key: value + 0.1 for key, value in model.state_dict().items()}
        fresh = sampler.select(moved, 2)
        assert seen[0] == 240
    for weights, epoch, found in ((with_other_head(model, "head"), 1, again), (moved, 2, fresh)):
        with NegativeSampler(pool, model, strategy="badge", k=K, options=how()) as plain:
            assert_same(plain.select(weights, epoch), found)


@pytest.mark.parametrize("case", LAST)
def test_frozen_features_leave_the_picks_as_they_were(case: str) -> None:
    pool, _, model = CASES[case]()
    weights = [model.state_dict(), with_other_head(model, LAST[case]), model.state_dict()]
    samplers = [
        NegativeSampler(pool, model, strategy="entropy", k=K, options=how(frozen=kept)) for kept in (False, True)
    ]
    for epoch, given in enumerate(weights):
        plain, frozen = (sampler.select(given, epoch) for sampler in samplers)
        np.testing.assert_array_equal(frozen.index, plain.index)
        np.testing.assert_allclose(frozen.score, plain.score, rtol=1e-6)
    for sampler in samplers:
        sampler.close()


class PoolingNet(MeanNet):
    """A user's own network with a part before its head that is called as one behind ours."""

    def __init__(self) -> None:
        super().__init__()
        self.pooling = nn.Linear(6, 6)

    def forward(self, bags: Tensor) -> Tensor:
        return super().forward(self.pooling(bags))


def test_all_layers_before_a_users_head_are_backbone() -> None:
    model, pool = PoolingNet(), vectors([3] * 40)
    moved = {name: value + 0.5 if name.startswith("pooling.") else value for name, value in model.state_dict().items()}
    samplers = [
        NegativeSampler(pool, model, strategy="entropy", k=K, head="fc", options=how(frozen=kept))
        for kept in (False, True)
    ]
    for weights in (model.state_dict(), moved):
        plain, frozen = (sampler.select(weights, 0) for sampler in samplers)
        np.testing.assert_array_equal(frozen.index, plain.index)
    for sampler in samplers:
        sampler.close()


def test_features_beyond_the_budget_are_computed_again() -> None:
    model, pool = counting_model(), vectors([3] * 40)
    options = FleetConfig(block=BLOCK, cache_mb=0, scoring=ScoringConfig(frozen=True))
    with NegativeSampler(pool, model, strategy="entropy", k=K, options=options) as sampler:
        kept = [sampler.select(model.state_dict(), epoch) for epoch in range(2)]
    assert model.encoder.seen[0] == 240
    assert_same(kept[0], kept[1])


class SquaredNet(MeanNet):
    """Logits that are not the head's output."""

    def forward(self, bags: Tensor) -> Tensor:
        return super().forward(bags) ** 2


@pytest.mark.parametrize("scoring", [{"frozen": True}, {"precision": "bfloat16"}])
def test_a_network_with_layers_after_its_head_cannot_be_cut(scoring: dict[str, Any]) -> None:
    with pytest.raises(BadModel, match="logits that differ from the head's output .*float32 and no frozen features"):
        select(vectors([3] * 40), SquaredNet(), "entropy", K, head="fc", options=how(**scoring))


COMPILED = """
from tests.unit.service.scoring.test_scoring_config import CASES, K, how, select
for case in ("shared", "own network", "ragged"):  # one after the other, in threads that end
    pool, positives, model = CASES[case]()
    plain, one, three = (select(pool, model, "badge", K, shards=shards, options=how(compile=shards != 2)) for shards in (2, 1, 3))
    assert (one.index == three.index).all() and (one.score == three.score).all() and len(plain.index) == K
    assert abs(one.score - plain.score).max() < 1e-3
"""


@pytest.mark.slow
def test_compiled_models_of_several_kinds_live_in_one_process() -> None:
    """In a process of its own: a crash would take the tests along."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True)


def test_without_a_compiler_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(BadInput, match=r"compile=true without a C\+\+ compiler \(/no/such/compiler\); expected one on"):
        select(vectors([3] * 4), vector_model(), "entropy", 1, options=how(compile=True))


def test_an_unknown_precision_is_reported() -> None:
    with pytest.raises(
        UnknownName, match=r"fleet\.scoring\.precision 'float16'; expected one of bfloat16, float32, tf32"
    ):
        ScoringConfig(precision="float16")


def test_the_scoring_options_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert ScoringConfig().suffix == ""
    assert ScoringConfig(precision="bfloat16", frozen=True).suffix == " (bfloat16, frozen)"
    with (
        caplog.at_level("INFO"),
        NegativeSampler(vectors([3] * 9), vector_model(), k=1, options=how(channels_last=True)),
    ):
        assert caplog.messages[-1].endswith("(channels_last)")
