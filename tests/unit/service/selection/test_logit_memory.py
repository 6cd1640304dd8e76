"""Rounds by remembered logits: equal to a round on these logits, without a forward pass, and restored exactly."""

import numpy as np
import pytest
import torch

from negsift import NegativeSampler
from negsift.common.arrays import Array, Floats, Index
from negsift.common.errors import BadInput
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.types import Embedded, Need, PoolVersion, Round
from negsift.service.selection.logit_memory import LogitMemory
from negsift.service.strategies import StrategyConfig, make_strategy
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.top_k import top_k
from tests.unit.toys import vector_model, vectors

POOL, K = 60, 9
BAGS = vectors([3] * POOL)
ALL = np.arange(POOL, dtype=np.int64)


def logits(seed: int, count: int = POOL) -> Array:
    return np.random.default_rng(seed).normal(0, 2, (count, 2)).astype(np.float32)


def sampler(strategy: str | Strategy = "entropy", **options: object) -> NegativeSampler:
    policy = {"strategy": strategy, "k": K, "seed": 3, "score": "memory", **options}
    return NegativeSampler(BAGS, vector_model(), fleet="local", shards=1, **policy)  # type: ignore[arg-type]


def picks(one: NegativeSampler, epoch: int) -> Index:
    return one.select(vector_model().state_dict(), epoch).index


@pytest.mark.parametrize("strategy", ["margin", "entropy", "least_confidence", "ht_gumbel"])
def test_a_round_goes_by_the_logits_that_were_given_last(strategy: str) -> None:
    seen = logits(0)
    seen[5:20] = logits(1, 15)
    with sampler(strategy) as one:
        one.remember(ALL, logits(0), 0)
        one.remember(ALL[5:20], torch.from_numpy(logits(1, 15)), 2)
        chosen = one.select(vector_model().state_dict(), 4)
    round = Round(4, 3, K, PoolVersion(0, POOL), turn=4)
    score = make_strategy(StrategyConfig(strategy)).score(Embedded(ALL, seen, np.zeros((POOL, 0))), {}, round)
    assert np.array_equal(chosen.index, top_k(ALL, score, K))
    recent = (chosen.index >= 5) & (chosen.index < 20)
    assert (chosen.account.scored, chosen.account.considered) == (0, POOL)
    assert (chosen.account.ages.oldest, chosen.account.ages.chosen) == (4, np.where(recent, 2, 4).mean())


def test_bags_never_seen_take_the_logits_of_seen_ones_and_are_chosen_as_often() -> None:
    memory = LogitMemory.empty(4_000, 2).updated(np.arange(400, dtype=np.int64), logits(0, 400), 0)
    strategy, pool, counts = make_strategy(StrategyConfig("entropy")), PoolVersion(0, 4_000), np.zeros(4_000)
    for epoch in range(40):
        chosen = memory.select(strategy, Round(epoch, 0, 400, pool), epoch)
        counts[chosen.index] += 1
    assert counts[400:].sum() / counts.sum() == pytest.approx(0.9, abs=0.01)
    assert (counts[400:] > 0).mean() > 0.9  # another donor each time
    recalled = memory.recalled(Round(7, 0, 1, pool)).logits[400:]
    donor = (uniform_keys(stream_key(0, "memory", 7), np.arange(400, 4_000)) * 400).astype(np.int64)
    assert np.array_equal(recalled, logits(0, 400)[donor])


def test_a_restored_sampler_chooses_alike() -> None:
    with sampler() as one, sampler() as other:
        one.remember(ALL[:30], logits(0, 30), 0)
        before = picks(one, 1)
        state = one.state_dict()
        other.load_state_dict(state)
        assert np.array_equal(picks(other, 1), before)
        one.remember(ALL[30:], logits(1, 30), 1)
        assert np.array_equal(picks(other, 2), picks(one, 2)) is False
        other.remember(ALL[30:], logits(1, 30), 1)
        assert np.array_equal(picks(other, 2), picks(one, 2))


def test_the_first_rounds_are_random_and_later_ones_need_a_memory() -> None:
    with sampler(random_rounds=1) as one, sampler("random", score="fresh") as random:
        assert np.array_equal(picks(one, 0), picks(random, 0))
        with pytest.raises(BadInput, match=r"before any bag was trained on.*raise random_rounds"):
            picks(one, 1)


def test_a_pool_that_grew_keeps_what_is_remembered() -> None:
    memory = LogitMemory.empty(3, 2).updated(np.array([1]), logits(0, 1), 4)
    grown = memory.resized(5)
    assert grown.version.tolist() == [-1, 4, -1, -1, -1]
    assert np.array_equal(grown.logits[1], logits(0, 1)[0])
    assert memory.resized(1).version.tolist() == [-1]


@pytest.mark.parametrize("strategy", ["badge", "gradient_embedding", "kl_prob", "svm_margin", "k_center"])
def test_strategies_that_look_at_more_than_logits_are_refused(strategy: str) -> None:
    with pytest.raises(BadInput, match="score=memory with .*use score=fresh"):
        sampler(strategy, positives=BAGS)


@pytest.mark.parametrize(
    ("index", "given", "message"),
    [
        (ALL[:3], logits(0, 2), "logits float32"),
        (ALL[:3], logits(0, 3)[:, 0], "logits float32"),
        (np.array([60]), logits(0, 1), "positions 60 to 60"),
        (np.array([-1]), logits(0, 1), "positions -1"),
        (np.array([0.5]), logits(0, 1), "whole numbers"),
        (ALL[:1], np.full((1, 2), np.nan, np.float32), "not finite"),
        (ALL[:1], np.full((1, 2), 1e60), "not finite in float32"),
        (ALL[:1], np.zeros((1, 3), np.float32), "logits of 3 columns; expected 2"),
        (ALL[:1], torch.zeros(1, 2, device="meta"), "logits on meta"),
        (ALL[:1], torch.zeros(1, 2).to_sparse(), "torch.sparse_coo"),
    ],
)
def test_what_can_not_be_remembered_is_refused(index: Index, given: Array | torch.Tensor, message: str) -> None:
    with sampler() as one, pytest.raises(BadInput, match=message):
        one.remember(index, given, 0)


def test_damaged_states_are_refused() -> None:
    with sampler() as one:
        one.remember(ALL, logits(0), 0)
        state = one.state_dict()
        nan, late = torch.full((120,), torch.nan), torch.full((60,), -7, dtype=torch.int32)
        for wrong in (
            {"columns": 7}, {"columns": 0}, {"columns": -1}, {"logits": "x"}, {"logits": nan}, {"version": late},
            {"version": torch.zeros(90, dtype=torch.int32)},
        ):  # fmt: skip
            with pytest.raises(BadInput):
                one.load_state_dict(state | {"remembered": state["remembered"] | wrong})


def test_positions_may_be_a_list_and_versions_are_epochs() -> None:
    with sampler() as one:
        one.remember([3, 4], logits(0, 2), 0)  # type: ignore[arg-type]
        one.remember([], logits(0, 0), 0)  # type: ignore[arg-type]
        assert picks(one, 1).size == K
        for version in (-1, 1 << 40):
            with pytest.raises(BadInput, match="version="):
                one.remember(ALL[:1], logits(0, 1), version)
    with pytest.raises(BadInput, match="a closed sampler"):
        one.remember(ALL[:1], logits(0, 1), 0)


def test_fewer_bags_with_finite_scores_than_asked_for_are_an_error() -> None:
    class Odd(Strategy):
        need = Need.LOGITS

        def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
            return np.where(embedded.index < 5, 1.0, np.nan)

    with sampler(strategy=Odd()) as one:
        one.remember(ALL, logits(0), 0)
        with pytest.raises(BadInput, match=f"5 bags with finite scores of {POOL}; expected {K} at least"):
            picks(one, 1)


@pytest.mark.parametrize("outputs", ["logits", "probability"])
def test_outputs_are_remembered_in_the_form_in_which_the_model_gives_them(outputs: str) -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Flatten(), torch.nn.Linear(BAGS[0].numel(), 1), torch.nn.Sigmoid()]
    network = torch.nn.Sequential(*layers[: 3 if outputs == "probability" else 2])
    options = {"strategy": "ht_gumbel", "k": K, "seed": 3, "fleet": "local", "shards": 1, "outputs": outputs}
    with (
        NegativeSampler(BAGS, network, **options) as fresh,  # type: ignore[arg-type]
        NegativeSampler(BAGS, network, score="memory", **options) as memory,  # type: ignore[arg-type]
    ):
        memory.remember(ALL, network(torch.stack(BAGS)), 0)
        ours, theirs = (one.select(network.state_dict(), 1) for one in (memory, fresh))
    assert np.array_equal(ours.index, theirs.index)
    np.testing.assert_allclose(ours.weight, theirs.weight, rtol=1e-4)


@pytest.mark.parametrize("other", [{"candidates": 20}, {"rescore": 20}])
def test_memory_and_part_of_a_pool_exclude_each_other(other: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="score=memory and .*one of them at most"):
        sampler(**other)
