"""NegativeSampler from round to round: state, overlap, closing, and errors."""

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.errors import BadInput, BadModel, BadWeights, ServiceError, UnknownName
from negsift.common.protocols import Pending
from negsift.common.types import Need, Picked, Round, Snapshot
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.selection.task import Task
from negsift.service.strategies import STRATEGIES
from negsift.service.strategies.badge import Badge
from negsift.service.strategies.base import PoolView, Prepared, Strategy
from negsift.service.strategies.margin import Margin
from negsift.service.strategies.random import Random
from tests.unit.toys import MeanNet, assert_same, cnn, select, shared_bag_set, vector_model, vectors

POOL, POSITIVES = vectors([3] * 30), vectors([3] * 6, seed=1)
MODEL = vector_model()
WEIGHTS = MODEL.state_dict()
SCORED = [name for name in STRATEGIES if STRATEGIES[name].need]


def sampler(strategy: str | Strategy = "margin", k: int | None = 5, **options: Any) -> NegativeSampler:  # Any: its own
    chosen = {"shards": 2, "positives": POSITIVES, "options": FleetConfig(block=8)} | options
    return NegativeSampler(POOL, MODEL, strategy=strategy, k=k, **chosen)


@pytest.mark.parametrize("name", STRATEGIES)
def test_full_alone_needs_no_k(name: str) -> None:
    if name == "full":
        assert len(select(POOL, MODEL, name, None).index) == 30
        return
    with pytest.raises(BadInput, match="no k; expected how many negatives"):
        sampler(name, k=None)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "full"])
@pytest.mark.parametrize("k", [-1, 31])
def test_k_that_the_pool_cannot_give_is_bad_input(name: str, k: int) -> None:
    with pytest.raises(
        BadInput, match=f"found {k} negatives asked for; expected a whole number between 0 and 30, the size of the pool"
    ):
        sampler(name, k=k)


@pytest.mark.parametrize("k", [2.5, "5"])
def test_k_that_is_not_a_whole_number_is_bad_input(k: Any) -> None:  # Any: wrong on purpose
    with pytest.raises(BadInput, match="negatives asked for"):
        sampler(k=k)


@pytest.mark.parametrize("name", STRATEGIES)
def test_nothing_is_chosen_from_an_empty_pool(name: str) -> None:
    assert len(select([], MODEL, name, 0, positives=POSITIVES).index) == 0


@pytest.mark.parametrize("name", [name for name in STRATEGIES if STRATEGIES[name].learns_from_positives])
@pytest.mark.parametrize("positives", [None, []])
def test_strategy_that_learns_from_positives_needs_them(name: str, positives: list[Tensor] | None) -> None:
    with pytest.raises(BadInput, match=rf"no positives for {STRATEGIES[name].__name__}.*give positives="):
        sampler(name, positives=positives)


def test_unknown_strategy_is_refused_at_once() -> None:
    with pytest.raises(UnknownName, match="did you mean 'badge'"):
        sampler("bagde")


def test_unknown_fleet_is_refused_at_once() -> None:
    with pytest.raises(UnknownName, match=r"fleet\.kind 'rey'.*local, ray"):
        sampler(fleet="rey")


@pytest.mark.parametrize("options", [{"shards": 0}, {"shards": -1}])
def test_fewer_shards_than_one_are_refused_at_once(options: dict[str, int]) -> None:
    with pytest.raises(BadInput, match=r"fleet\.shards=.*expected 1 or more"):
        sampler(**options)


def test_missing_head_is_refused_at_once() -> None:
    with pytest.raises(BadModel, match="no linear layer 'top'; expected one of body, fc"):
        NegativeSampler(POOL, MeanNet(), k=3, head="top")


@pytest.mark.parametrize("name", SCORED)
def test_weights_that_are_not_finite_are_refused(name: str) -> None:
    sick = WEIGHTS | {"head.bias": torch.tensor([0.0, float("nan")])}
    with sampler(name) as given, pytest.raises(BadWeights, match=r"1 of 2 values of 'head\.bias' not finite"):
        given.select(sick, 0)


def test_weights_of_another_model_leave_the_sampler_usable() -> None:
    with sampler() as given:
        with pytest.raises(BadWeights, match="publish the state_dict of the model the sampler was given"):
            given.select(MeanNet().state_dict(), 0)
        assert_same(given.select(WEIGHTS, 0), select(POOL, MODEL, "margin", 5))


@pytest.mark.parametrize("name", SCORED)
def test_bags_that_are_not_finite_are_left_out_and_counted(name: str) -> None:
    sick = [bag * float("nan") if number in (4, 20) else bag for number, bag in enumerate(POOL)]
    found = select(sick, MODEL, name, 28, positives=POSITIVES)
    assert set(found.index.tolist()) == set(range(30)) - {4, 20}
    assert (found.account.scored, found.account.dropped) == (30, 2)


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("sick", [2, 30])
def test_too_few_finite_bags_are_bad_input(name: str, sick: int) -> None:
    pool = [bag * float("nan") if number < sick else bag for number, bag in enumerate(POOL)]
    with pytest.raises(BadInput, match=rf"found {30 - sick} bags with finite scores of 30; expected 29 at least"):
        select(pool, MODEL, name, 29, positives=POSITIVES)


@pytest.mark.parametrize("name", [name for name in SCORED if STRATEGIES[name].learns_from_positives])
def test_positives_that_are_not_finite_are_named(name: str) -> None:
    with pytest.raises(BadInput, match="positive"):
        select(POOL, MODEL, name, 5, positives=[*POSITIVES[:3], POSITIVES[3] * float("nan")])


@pytest.mark.parametrize("pool", [POOL, shared_bag_set(12, 9)], ids=["bags", "shared instances"])
def test_one_logit_a_bag_is_a_bad_model(pool: Any) -> None:  # Any: either form of pool
    model = vector_model(classes=1) if pool is POOL else cnn()
    if pool is not POOL:
        model.head = nn.Linear(84, 1)
    with pytest.raises(BadModel, match="1 logits a bag; expected two or more"):
        select(pool, model, "margin", 3)


def test_embeddings_beyond_the_budget_are_an_error_that_says_so() -> None:
    with pytest.raises(ServiceError, match=r"MiB of embeddings to gather, 0 allowed; raise fleet\.gather_mb"):
        select(POOL, MODEL, Badge(engine="faiss"), 3, options=FleetConfig(block=8, gather_mb=0))


def test_points_beyond_the_budget_stay_on_their_shards() -> None:
    gathered = select(POOL, MODEL, "badge", 12)
    apart = select(POOL, MODEL, "badge", 12, options=FleetConfig(block=8, gather_mb=0))
    assert_same(apart, gathered)
    assert (gathered.account.traffic.rounds, gathered.account.traffic.points) == (2, len(POOL))
    assert apart.account.traffic.rounds > 2


@pytest.mark.parametrize("engine", ["faiss", "faiss_afkmc2"])
def test_other_engines_select_on_gathered_points(engine: str) -> None:
    one, other = (select(POOL, MODEL, Badge(engine=engine), 12, shards=shards) for shards in (1, 3))
    assert_same(one, other)
    assert len(one.index) == 12


class Doubling(Strategy):
    """Picks the first bag again and again."""

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        best = view.top_k(Random(), prepared, round)
        return replace(best, candidates=replace(best.candidates, index=np.roll(best.candidates.index, 1) // 99))


def test_a_strategy_that_picks_a_bag_twice_is_bad_input() -> None:
    with pytest.raises(BadInput, match="bags picked twice or out of range by .*; expected distinct positions below 30"):
        select(POOL, MODEL, Doubling(), 5)


class BrokenError(Exception):
    """A user's own."""


class Broken(MeanNet):
    def forward(self, bags: Tensor) -> Tensor:
        raise BrokenError("on purpose")


def test_an_exception_of_the_model_propagates_unchanged() -> None:
    with pytest.raises(BrokenError, match="on purpose"):
        select(POOL, Broken(), "margin", 3)


def test_submitted_round_gives_the_selection_of_select() -> None:
    with sampler("badge") as given:
        assert_same(given.submit(WEIGHTS, 3).result(60.0), given.select(WEIGHTS, 3))


def test_submitted_rounds_may_overlap_and_be_asked_twice() -> None:
    with sampler("random") as given:
        pending = [given.submit(WEIGHTS, epoch) for epoch in range(4)]
        found = [each.result() for each in reversed(pending)][::-1]
        assert_same(pending[0].result(), found[0])
    for epoch, one in enumerate(found):
        assert_same(one, select(POOL, MODEL, "random", 5, epoch=epoch))


def test_weights_may_change_while_a_round_is_under_way() -> None:
    weights = {name: value.clone() for name, value in WEIGHTS.items()}
    with sampler("badge") as given:
        pending = given.submit(weights, 0)
        for value in weights.values():
            value.zero_()
        assert_same(pending.result(), select(POOL, MODEL, "badge", 5))


@pytest.mark.parametrize(("version", "staleness"), [(None, 0), (3, 1), (4, 0)])
def test_selection_says_which_weights_made_it(version: int | None, staleness: int) -> None:
    with sampler() as given:
        found = given.submit(WEIGHTS, 4, version).result()
    assert (found.version, found.staleness) == (4 - staleness, staleness)


@pytest.mark.parametrize(("version", "message"), [(1, "one from 2, a staleness of 2, to 4"), (5, "to 4"), (-1, "")])
def test_weights_too_old_or_from_the_future_are_bad_input(version: int, message: str) -> None:
    with sampler(staleness=2) as given:
        assert given.submit(WEIGHTS, 4, 2).result().staleness == 2
        with pytest.raises(BadInput, match=f"found weights of version {version} for epoch 4; expected .*{message}"):
            given.submit(WEIGHTS, 4, version)


class Slow(Strategy):
    """Waits until it is let go."""

    need = Need.NOTHING

    def score(self, *_: Any) -> Any:  # Any: never gives anything
        time.sleep(0.2)
        raise BrokenError("late")


class NoAnswer(MeanNet):
    def forward(self, bags: Tensor) -> Tensor:
        raise TimeoutError


def test_a_timeout_of_the_users_code_is_not_taken_for_a_round_under_way() -> None:
    with NegativeSampler(POOL, NoAnswer(), strategy="margin", k=3) as given, pytest.raises(TimeoutError) as caught:
        given.submit(MeanNet().state_dict(), 0).result(60.0)
    assert (type(caught.value), caught.value.args) == (TimeoutError, ())


def test_result_that_takes_too_long_is_a_timeout() -> None:
    with sampler(Slow()) as given:
        pending = given.submit(WEIGHTS, 0)
        with pytest.raises(TimeoutError, match="no selection within 0 s"):
            pending.result(0.0)
        with pytest.raises(BrokenError, match="late"):
            pending.result()


def test_restored_sampler_goes_on_as_the_first_would_have() -> None:
    with sampler("svm_margin") as first, sampler("svm_margin") as second:
        first.select(WEIGHTS, 0)
        second.load_state_dict(first.state_dict())
        assert_same(second.select(WEIGHTS, 1), first.select(WEIGHTS, 1))


def test_a_state_goes_through_torch_load_as_it_is(tmp_path: Path) -> None:
    with sampler("margin", rescore=8) as first, sampler("margin", rescore=8) as second:
        first.select(WEIGHTS, 0)
        torch.save(first.state_dict(), tmp_path / "state.pt")
        second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert_same(second.select(WEIGHTS, 1), first.select(WEIGHTS, 1))


@pytest.mark.parametrize("k", ["5", 2.5])
def test_k_that_is_not_a_whole_number_is_quoted(k: Any) -> None:
    with pytest.raises(BadInput, match=f"found {k!r} negatives asked for; expected a whole number .*lower k"):
        sampler(k=k)


def test_an_epoch_below_0_is_reported() -> None:
    with sampler() as given, pytest.raises(BadInput, match="found epoch=-1; expected 0 or more"):
        given.select(WEIGHTS, -1)


def test_svm_learns_from_the_last_selection() -> None:
    state = {"previous": np.arange(5)}
    with sampler("svm_margin") as fresh, sampler("svm_margin") as restored:
        restored.load_state_dict(state)
        assert fresh.select(WEIGHTS, 1).score.tolist() != restored.select(WEIGHTS, 1).score.tolist()


def test_closing_twice_does_no_harm() -> None:
    with sampler() as given:
        given.select(WEIGHTS, 0)
        given.close()
    given.close()


def test_a_round_under_way_is_finished_before_closing() -> None:
    with sampler() as given:
        pending = given.submit(WEIGHTS, 0)
    assert len(pending.result().index) == 5


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_sibling_picks_as_a_separate_sampler(name: str) -> None:
    k = None if name == "full" else 5
    with sampler("random") as first:
        found = first.sibling(name, k=k, seed=3).select(WEIGHTS, 2)
    assert_same(found, select(POOL, MODEL, name, k, positives=POSITIVES, seed=3, epoch=2))


def test_closing_a_sibling_leaves_the_shards_alone() -> None:
    with sampler() as first:
        first.sibling("random", k=3).close()
        assert len(first.select(WEIGHTS, 0).index) == 5


@dataclass
class Ends:
    """A service that notes the strategies of the tasks that end."""

    tasks: list[Strategy] = field(default_factory=list)

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> Pending:
        raise NotImplementedError

    def describe(self) -> str:
        return "nothing"

    def end(self, task: Task) -> None:
        self.tasks.append(task.strategy)

    def close(self, finish: bool = True) -> None:
        self.tasks.append(Random())


def test_a_sibling_ends_its_own_task_and_the_sampler_all() -> None:
    service = Ends()
    with NegativeSampler.over(service, POOL, Task(Badge(), 3)) as first:
        first.sibling("margin", k=3).close()
        later = first.sibling("entropy", k=3)
    later.close()  # there is nothing left to end
    assert [type(strategy) for strategy in service.tasks] == [Margin, Random]


def test_a_closed_sampler_and_its_siblings_say_so() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 2))
    with NegativeSampler([torch.ones(3, 2)] * 4, model, k=2) as sampler:
        sibling = sampler.sibling("entropy", k=1)
    for closed in (sampler, sibling):
        with pytest.raises(BadInput, match="a closed sampler"):
            closed.select(model.state_dict(), 0)


def test_a_model_in_place_of_its_weights_is_reported() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 2))
    with (
        NegativeSampler([torch.ones(3, 2)] * 4, model, k=2) as sampler,
        pytest.raises(BadInput, match="weights of type Sequential.*model.state_dict"),
    ):
        sampler.select(model, 0)


@pytest.mark.parametrize("name", SCORED)
def test_a_users_networks_nan_bags_are_left_out_too(name: str) -> None:
    sick = [bag * float("nan") if number in (4, 20) else bag for number, bag in enumerate(POOL)]
    found = select(sick, MeanNet(), name, 28, positives=POSITIVES)
    assert set(found.index.tolist()) == set(range(30)) - {4, 20}


@pytest.mark.parametrize(
    ("strategy", "message"),
    [(3, "found a int as strategy"), (Badge, "found the class Badge as strategy"), (None, "None")],
)
def test_an_object_other_than_a_strategy_is_bad_input(strategy: Any, message: str) -> None:  # Any: wrong on purpose
    with pytest.raises(BadInput, match=message):
        sampler(strategy)


@pytest.mark.parametrize("seed", [None, "0", 0.5])
def test_seed_and_epoch_are_whole_numbers(seed: Any) -> None:  # Any: wrong on purpose
    with pytest.raises(BadInput, match=r"seed=.*a whole number"):
        sampler(seed=seed)
    with sampler() as given, pytest.raises(BadInput, match=r"epoch=.*a whole number"):
        given.select(WEIGHTS, seed)


@pytest.mark.parametrize("state", [None, {}, {"previous": np.array([30])}, {"previous": np.array([-1])}], ids=repr)
def test_state_of_another_sampler_is_bad_input(state: Any) -> None:  # Any: wrong on purpose
    with sampler() as given, pytest.raises(BadInput, match="a state"):
        given.load_state_dict(state)


class Patient(Strategy):
    """Takes its time with every block."""

    need = Need.NOTHING

    def score(self, embedded: Any, *_: Any) -> Any:  # Any: the base's types
        time.sleep(0.05)
        return np.zeros(len(embedded.index))


def test_an_exception_in_the_users_loop_cancels_the_round() -> None:
    given, start = sampler(Patient(), options=FleetConfig(block=1), shards=1), time.monotonic()
    pending = given.submit(WEIGHTS, 0)
    given.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert time.monotonic() - start < 0.05 * len(POOL) / (os.cpu_count() or 1)
    with pytest.raises(ServiceError, match="a round given up, as its sampler was closed; select with an open sampler"):
        pending.result()
