"""Positives of an epoch: chosen by a strategy, weighted, scored at a cost, and as before after a stop."""

from functools import partial

import numpy as np
import pytest

from negsift.common.errors import BadInput, UnknownName
from negsift.common.overrides import override
from negsift.common.protocols import Sampler
from negsift.deploy.fit import check_fit
from negsift.deploy.recipes import recipe
from negsift.service import NegativeSampler
from negsift.trainer.epoch_positives import EpochPositives, walked
from negsift.trainer.worker_group import WorkerGroup
from tests.unit.toys import bag_set, cnn

BAGS = bag_set([1] * 23, label=1)
K = 6


def made(strategy: str) -> Sampler:
    return NegativeSampler(BAGS, cnn(), strategy=strategy, k=K, target=0, fleet="local", shards=1)


def positives(strategy: str, k: int = K) -> EpochPositives:
    return EpochPositives(BAGS, k, 0, WorkerGroup(), partial(made, strategy))


@pytest.mark.parametrize("strategy", ["entropy", "ht_gumbel", "badge"])
def test_a_strategy_chooses_what_a_sampler_of_the_positives_does(strategy: str) -> None:
    weights, ours = cnn(seed=1).state_dict(), positives(strategy)
    with made(strategy) as sampler:  # type: ignore[attr-defined]
        for epoch in range(2):
            expected, chosen = sampler.select(weights, epoch), ours.choose(epoch, weights)
            assert chosen.bags.number.tolist() == BAGS.subset(expected.index).number.tolist()
            assert np.array_equal(chosen.weight, expected.weight)
            assert chosen.scored == len(BAGS)
    ours.close()


@pytest.mark.parametrize("k", [0, 23, 99])
def test_all_are_taken_without_scoring_where_there_are_no_more(k: int) -> None:
    chosen = positives("entropy", k).choose(3, cnn().state_dict())
    assert (chosen.bags, chosen.scored, chosen.weight.tolist()) == (BAGS, 0, [1.0] * 23)


def test_without_a_sampler_each_has_its_turn() -> None:
    chosen = EpochPositives(BAGS, K, 5, WorkerGroup()).choose(2, cnn().state_dict())
    assert chosen.bags.number.tolist() == walked(BAGS, K, 5, 2).number.tolist()
    assert EpochPositives(BAGS, K, 5, WorkerGroup()).state_dict() == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["sampling.positives_by=kl_prob", "sampling.positives=5"], "expected a strategy that looks at each bag alone"),
        (["sampling.positives_by=full", "sampling.positives=5"], "expected a strategy that looks at each bag alone"),
        (["sampling.positives_by=entropy"], "sampling.positives_by=entropy of all positives; .*set sampling.positives"),
        (["name=random", "strategy.name=badge"], "name=random of a run of badge"),
        ([f"name={'x' * 101}"], "at most 100 printable characters"),
        (["name=a|b"], "at most 100 printable characters"),
    ],
)
def test_what_can_not_choose_positives_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_fit(override(recipe("digits"), settings))


def test_an_unknown_strategy_of_positives_is_named() -> None:
    with pytest.raises(UnknownName, match=r"sampling\.positives_by 'entropi'.*did you mean 'entropy'"):
        check_fit(override(recipe("digits"), ["sampling.positives_by=entropi", "sampling.positives=5"]))
