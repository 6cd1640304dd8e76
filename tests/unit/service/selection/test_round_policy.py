"""Rounds that score a part of the pool: the picks are those of the part, or of all last scores, on any shards."""

from typing import Any

import numpy as np
import pytest

from negsift.common.block_subset import BlockSubset
from negsift.common.errors import BadInput
from negsift.common.round_policy import RoundPolicy
from negsift.common.types import Need, Selection
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.strategies import STRATEGIES
from negsift.service.strategies.base import Strategy
from tests.unit.service.test_sampler import CASES, Case
from tests.unit.toys import BLOCK, MeanNet, assert_same, vector_model, vectors

K, SEED, POOL = 5, 3, 40
SCORING = [name for name, kind in STRATEGIES.items() if kind.need > Need.NOTHING]
BY_SCORE = [name for name in SCORING if STRATEGIES[name].pick is Strategy.pick]


def sampler(case: Case, name: str, *, k: int = K, **options: Any) -> NegativeSampler:  # Any: NegativeSampler's
    pool, positives, model = case
    given = {"shards": 2, "options": FleetConfig(block=BLOCK)} | options
    return NegativeSampler(pool, model, strategy=name, k=k, positives=positives, seed=SEED, **given)


def choose(case: Case, name: str, epoch: int, **options: Any) -> Selection:  # Any: as above
    with sampler(case, name, **options) as one:
        return one.select(case[2].state_dict(), epoch)


ON_OTHERS = [(case, name) for case in CASES if case != "vectors" for name in ("entropy", "kl_prob")]


@pytest.mark.parametrize(("case", "name"), [*(("vectors", name) for name in SCORING), *ON_OTHERS, ("shared", "badge")])
def test_candidates_are_the_subsets_bags_on_any_shards(case: str, name: str) -> None:
    given, subset = CASES[case](), BlockSubset(16, SEED, 4).index(POOL, BLOCK)
    one = choose(given, name, 4, candidates=16)
    assert set(one.index) <= set(subset)
    assert one.account.considered == one.account.scored == len(subset)
    apart = FleetConfig(block=BLOCK, held_mb=0, cache_mb=0)
    for shards in (1, 3):
        assert_same(choose(given, name, 4, candidates=16, shards=shards, options=apart), one)


@pytest.mark.parametrize(("case", "name"), [*(("vectors", name) for name in BY_SCORE), *ON_OTHERS])
def test_the_best_of_the_candidates_are_chosen(case: str, name: str) -> None:
    """With their scores in a full round, best first, as an oracle; k decides what svm and kl compare with."""
    given, subset = CASES[case](), BlockSubset(16, SEED, 4).index(POOL, BLOCK)
    previous = {"previous": np.arange(K)}
    with sampler(given, name) as whole, sampler(given, name, candidates=16) as part:
        whole.load_state_dict(previous)
        part.load_state_dict(previous)
        everything = whole.sibling(name, k=POOL, seed=SEED)
        everything.load_state_dict(previous)
        ranked = everything.select(given[2].state_dict(), 4)
        found = part.select(given[2].state_dict(), 4)
    expected = np.isin(ranked.index, subset)
    np.testing.assert_array_equal(found.index, ranked.index[expected][:K])
    np.testing.assert_allclose(found.score, ranked.score[expected][:K], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["random", "full"])
def test_strategies_that_score_nothing_have_the_whole_pool(name: str) -> None:
    case, k = CASES["vectors"](), POOL if name == "full" else K
    assert_same(choose(case, name, 1, k=k, candidates=8), choose(case, name, 1, k=k))
    assert_same(choose(case, name, 1, k=k, rescore=8), choose(case, name, 1, k=k))


def test_rounds_every_other_epoch_have_subsets_in_turn() -> None:
    case = CASES["vectors"]()
    with sampler(case, "entropy", candidates=8, every=2) as one:
        seen = [set(one.select(case[2].state_dict(), epoch).index // BLOCK) for epoch in range(0, 10, 2)]
    assert [len(blocks) for blocks in seen] == [1] * 5
    assert set().union(*seen) == set(range(5))


class Rescoring:
    """What rescore= should give, from rounds that rank the whole pool."""

    def __init__(self, case: Case, name: str) -> None:
        self.last: dict[int, tuple[float, int]] = {}
        self._case, self._name = case, name

    def select(self, weights: dict[str, Any], epoch: int, part: int) -> list[int]:
        with sampler(self._case, self._name, k=POOL) as whole:
            ranked = whole.select(weights, epoch)
        subset = range(POOL) if not self.last else BlockSubset(part, SEED, epoch).index(POOL, BLOCK).tolist()
        score = dict(zip(ranked.index.tolist(), ranked.score.tolist(), strict=True))
        self.last |= {at: (score[at], epoch) for at in subset}
        return sorted(self.last, key=lambda at: (-self.last[at][0], at))[:K]


@pytest.mark.parametrize("name", ["entropy", "gradient_embedding", "kl_prob"])
def test_rescored_bags_compete_with_earlier_scores_of_others(name: str) -> None:
    case = vectors([3] * POOL), vectors([2] * 4, seed=1), vector_model()
    oracle = Rescoring(case, name)
    with sampler(case, name, rescore=10) as one:
        for epoch in range(6):
            weights = vector_model(seed=epoch).state_dict()
            found, expected = one.select(weights, epoch), oracle.select(weights, epoch, 10)
            assert found.index.tolist() == expected
            assert found.account.scored == (POOL if epoch == 0 else 16)  # two blocks hold ten bags
            assert found.account.considered == POOL
            ages = [epoch - oracle.last[at][1] for at in expected]
            assert found.account.ages.chosen == pytest.approx(np.mean(ages))
            assert found.account.ages.oldest == max(epoch - version for _, version in oracle.last.values())


def test_a_samplers_state_continues_on_other_shards() -> None:
    case = CASES["vectors"]()
    weights = [vector_model("softmax_max", classes=3, seed=epoch).state_dict() for epoch in range(5)]
    with sampler(case, "entropy", rescore=8) as one, sampler(case, "entropy", rescore=8, shards=5) as other:
        for epoch in range(3):
            one.select(weights[epoch], epoch)
        other.load_state_dict(one.state_dict())
        for epoch in (3, 4):
            assert_same(other.select(weights[epoch], epoch), one.select(weights[epoch], epoch))


def test_results_are_repeatable_and_siblings_keep_own_scores() -> None:
    case = CASES["vectors"]()
    with sampler(case, "entropy", rescore=8) as one:
        sibling = one.sibling("margin", k=K, seed=SEED, policy=RoundPolicy(rescore=8))
        pending = one.submit(case[2].state_dict(), 0)
        assert pending.result() is pending.result()
        assert sibling.state_dict()["kept"] is None
        assert sibling.select(case[2].state_dict(), 1).account.scored == POOL


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"candidates": 0}, "candidates=0; expected a whole number of at least 1"),
        ({"rescore": 1.5}, r"rescore=1\.5; expected a whole number of at least 1"),
        ({"every": 0}, "every=0; expected a whole number of at least 1"),
        ({"candidates": 9, "rescore": 9}, "candidates=9 and rescore=9; expected one of them at most"),
        ({"candidates": K - 1}, "5 negatives of candidates=4; expected 5 at least; raise candidates"),
    ],
)
def test_an_impossible_policy_is_reported(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        choose(CASES["vectors"](), "entropy", 0, **given)


@pytest.mark.parametrize("name", [name for name in SCORING if name not in BY_SCORE])
def test_strategies_that_look_at_all_bags_at_once_keep_no_scores(name: str) -> None:
    with pytest.raises(BadInput, match="rescore=9 with .*, which looks at all bags at once; .*use candidates instead"):
        choose((vectors([3] * POOL), vectors([3]), MeanNet()), name, 0, rescore=9)
