"""NegativeSampler in this process, over every strategy: same picks on any shards, k of them, no side effects."""

import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.data.protocols import BagDataset
from negsift.common.errors import BadInput, BadModel
from negsift.common.models.bag import BagClassifier
from negsift.common.types import Selection
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.strategies import STRATEGIES
from negsift.service.strategies.base import Strategy
from tests.unit.toys import BLOCK, MeanNet, assert_same, bag_set, cnn, select, shared_bag_set, vector_model, vectors

K = 9
RAGGED = [1 + bag * 7 % 5 for bag in range(40)]
Case = tuple[BagDataset, BagDataset, nn.Module]

CASES: dict[str, Callable[[], Case]] = {
    "equal": lambda: (bag_set([4] * 40), bag_set([4] * 11, seed=1, label=1), cnn()),
    "ragged": lambda: (bag_set(RAGGED), bag_set([3, 1, 2, 5, 4], seed=1, label=1), cnn("softmax_mean")),
    "shared": lambda: (shared_bag_set(40, 50), bag_set([3, 1, 2], seed=1, label=1), cnn("attention")),
    "vectors": lambda: (vectors(RAGGED), vectors([2, 3, 4], seed=1), vector_model("softmax_max", classes=3)),
    "own network": lambda: (vectors([3] * 40), vectors([3] * 7, seed=1), MeanNet()),
}


def other_weights() -> dict[str, Tensor]:
    """Weights of the case "vectors" from another seed."""
    return vector_model("softmax_max", classes=3, seed=5).state_dict()


def run(case: Case, name: str, *, k: int = K, **options: Any) -> Selection:  # Any: those of `select`
    pool, positives, model = case
    return select(pool, model, name, None if name == "full" else k, positives=positives, **options)


ON_VECTORS = [("vectors", name) for name in STRATEGIES]
ON_OTHERS = [
    (case, name) for case in ("ragged", "shared", "own network") for name in ("entropy", "badge", "svm_margin")
]


@pytest.mark.parametrize(("case", "name"), ON_VECTORS + ON_OTHERS)
def test_selection_does_not_depend_on_shard_count(case: str, name: str) -> None:
    given = CASES[case]()
    one = run(given, name, shards=1, epoch=2)
    apart = FleetConfig(block=BLOCK, held_mb=0)  # points stay on their shards
    for shards in (3, 7):
        assert_same(run(given, name, shards=shards, epoch=2, options=apart), one)


@pytest.mark.parametrize("name", STRATEGIES)
def test_selection_does_not_depend_on_what_was_selected_before(name: str) -> None:
    pool, positives, model = given = CASES["vectors"]()
    fresh = run(given, name, epoch=3)
    options = FleetConfig(block=BLOCK)
    with NegativeSampler(pool, model, strategy=name, k=K, shards=2, positives=positives, options=options) as sampler:
        sampler.select(other_weights(), 0)
        sampler.load_state_dict({"previous": None})
        assert_same(sampler.select(model.state_dict(), 3), fresh)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_cache_too_small_for_anything_changes_nothing(name: str) -> None:
    given = CASES["vectors"]()
    assert_same(run(given, name, options=FleetConfig(block=BLOCK, cache_mb=0)), run(given, name))


@pytest.mark.parametrize("name", STRATEGIES)
def test_exactly_k_distinct_positions_in_range(name: str) -> None:
    pool, positives, model = CASES["vectors"]()
    with NegativeSampler(pool, model, k=0, shards=2, positives=positives) as sampler:
        for k in (0, 1, K, 40):
            chosen = sampler.sibling(name, k=k).select(model.state_dict(), 0).index
            assert len(set(chosen.tolist())) == len(chosen) == (40 if name == "full" else k)
            assert set(chosen.tolist()) <= set(range(40))


@pytest.mark.parametrize("name", [name for name, kind in STRATEGIES.items() if kind.pick is Strategy.pick])
def test_best_come_first(name: str) -> None:
    assert (np.diff(run(CASES["vectors"](), name).score) <= 0.0).all()


@pytest.mark.parametrize("name", ["random", "badge"])
@pytest.mark.parametrize("change", [{"epoch": 1}, {"seed": 1}])
def test_random_picks_change_with_epoch_and_seed(name: str, change: dict[str, int]) -> None:
    given = CASES["vectors"]()
    assert run(given, name, **change).index.tolist() != run(given, name).index.tolist()


@pytest.mark.parametrize("name", ["random", "badge"])
def test_random_picks_come_again_with_the_same_epoch_and_seed(name: str) -> None:
    assert_same(*(run(CASES["vectors"](), name, epoch=4, seed=2) for _ in range(2)))


@pytest.mark.parametrize("name", [name for name in STRATEGIES if STRATEGIES[name].need])
def test_scores_follow_the_weights_given(name: str) -> None:
    pool, positives, model = CASES["vectors"]()
    other_model = vector_model("softmax_max", classes=3, seed=5)
    with NegativeSampler(pool, model, strategy=name, k=K, shards=2, positives=positives) as sampler:
        other = sampler.select(other_weights(), 0)
    assert_same(other, run((pool, positives, other_model), name, options=FleetConfig()))


@pytest.mark.parametrize("name", STRATEGIES)
def test_first_rounds_are_random_if_asked(name: str) -> None:
    given, random = CASES["vectors"](), run(CASES["vectors"](), "random", k=K)
    if STRATEGIES[name].need:  # the others look at no scores, which are noise at first
        assert_same(run(given, name, random_rounds=1), random)
    assert_same(run(given, name, random_rounds=1, epoch=1), run(given, name, epoch=1))


class NormNet(nn.Module):
    """Batch normalisation and dropout: what scoring in training mode would change."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.drop, self.fc = nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)

    def forward(self, bags: Tensor) -> Tensor:
        feats = self.norm(self.body(bags.flatten(0, 1)))
        return self.fc(self.drop(feats)).view(*bags.shape[:2], -1).mean(1)


@pytest.mark.parametrize("name", STRATEGIES)
def test_selecting_leaves_the_model_as_it_was(name: str) -> None:
    pool, positives, _ = CASES["own network"]()
    model = NormNet().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    run((pool, positives, model), name)
    assert model.training
    assert model.norm.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_users_network_gets_no_hooks() -> None:
    pool, positives, model = CASES["own network"]()
    run((pool, positives, model), "badge")
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in model.modules())


@pytest.mark.parametrize("name", ["random", "entropy", "badge"])
def test_selecting_leaves_the_number_of_threads_as_it_was(name: str) -> None:
    found: list[int] = []
    before = torch.get_num_threads()
    run(CASES["vectors"](), name)
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert [torch.get_num_threads(), *found] == [before, before]


def test_positives_are_never_chosen_from() -> None:
    pool, positives, model = CASES["vectors"]()
    found = run((pool, positives, model), "kl_prob", k=40)
    assert (len(found.index), found.account.scored) == (40, 40)


def test_bag_classifier_is_still_the_users_own() -> None:
    model = cnn()
    assert isinstance(model, BagClassifier)
    with NegativeSampler(bag_set([2] * 5), model, k=2, strategy="margin") as sampler:
        published = {key: value.clone() for key, value in model.state_dict().items()}
        nn.init.zeros_(model.head.weight)
        before = sampler.select(published, 0)
    assert_same(before, select(bag_set([2] * 5), cnn(), "margin", 2, options=FleetConfig()))


def test_a_sampler_with_local_shards_cannot_be_pickled() -> None:
    with (
        NegativeSampler(vectors([3] * 9), vector_model(), k=2, shards=1) as sampler,
        pytest.raises(BadInput, match="its shards in this one; expected shards on Ray; give fleet='ray'"),
    ):
        pickle.dumps(sampler)


class GatedNet(nn.Module):
    """Its last linear layer is a gate and has as many outputs as the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier, self.gate = nn.Linear(6, 2), nn.Linear(6, 2)

    def forward(self, bags: Tensor) -> Tensor:
        output: Tensor = (self.classifier(bags) * self.gate(bags).sigmoid()).mean(1)
        return output


@pytest.mark.parametrize("name", ["k_center", "kl_embedding", "cluster_margin"])
def test_features_of_another_layer_are_refused_whatever_was_selected_before(name: str) -> None:
    pool, positives, _ = CASES["own network"]()
    model = GatedNet()
    with NegativeSampler(pool, model, strategy="entropy", k=K, shards=2, positives=positives) as sampler:
        sampler.select(model.state_dict(), 0)
        with pytest.raises(BadModel, match="head="):
            sampler.sibling(name, k=K).select(model.state_dict(), 0)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_walk_goes_through_the_pool_however_seldom_it_is_asked(every: int) -> None:
    pool, positives, model = CASES["vectors"]()
    with NegativeSampler(pool, model, strategy="walk", k=10, shards=2, positives=positives, every=every) as sampler:
        walked = [sampler.select(model.state_dict(), epoch).index for epoch in range(0, 4 * every, every)]
    assert sorted(np.concatenate(walked)) == list(range(40))


@pytest.mark.parametrize("given", [{"k": True}, {"k": 3, "seed": True}])
def test_true_is_no_number(given: dict[str, Any]) -> None:
    pool, positives, model = CASES["vectors"]()
    with pytest.raises(BadInput, match="True"), NegativeSampler(pool, model, positives=positives, **given) as sampler:
        sampler.select(model.state_dict(), 0)


def test_the_last_selection_is_that_of_the_round_begun_last() -> None:
    pool, positives, model = CASES["vectors"]()
    given = {"strategy": "random", "k": K, "positives": positives}
    with NegativeSampler(pool, model, **given) as sampler:
        first, second = sampler.submit(model.state_dict(), 0), sampler.submit(model.state_dict(), 1)
        last = second.result().index
        assert first.result().index.tolist() != last.tolist()
        assert sampler.state_dict()["previous"].tolist() == last.tolist()
