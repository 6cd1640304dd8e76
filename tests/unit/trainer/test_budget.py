"""Runs that end by their budget, the rate that goes by it, and epochs that draw from both sides."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.errors import BadInput
from negsift.common.overrides import override
from negsift.common.types import Selection
from negsift.deploy.fit import check_fit
from negsift.deploy.recipes import recipe
from negsift.deploy.run import Runner
from negsift.trainer.budget import Budget, Spent
from negsift.trainer.config import SamplingConfig, TrainingConfig
from negsift.trainer.epoch_positives import ChosenPositives, walked
from negsift.trainer.loader import epoch_order, epoch_set
from negsift.trainer.worker_group import WorkerGroup
from tests.unit.toys import bag_set

BAGS = bag_set([1] * 23, label=1)


@given(budget=st.integers(8, 500), batch=st.integers(1, 8), bags=st.integers(1, 60), scored=st.integers(0, 90))
def test_a_run_spends_its_budget_and_no_more_than_a_batch_beyond(
    budget: int, batch: int, bags: int, scored: int
) -> None:
    plan, cost, epoch, before = Budget(TrainingConfig(budget=budget, batch=batch)), 0.0, 0, 0.0
    while not plan.is_spent(Spent(cost)):
        cost += scored / 3
        start, end = plan.span(epoch, Spent(cost), left := plan.left(Spent(cost), bags))
        assert before <= start <= end <= 1
        cost, epoch, before = cost + left, epoch + 1, end
    assert budget - batch < cost < budget + batch + scored / 3


def test_without_a_budget_epochs_are_equal_parts() -> None:
    plan = Budget(TrainingConfig(epochs=4))
    spent = Spent(1e9, 1e9, 1e9)
    assert [plan.span(epoch, spent, 5) for epoch in range(4)] == [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]
    assert plan.left(spent, 5) == 5
    assert not plan.is_spent(spent)


def test_a_run_ends_before_the_epoch_that_its_seconds_are_too_few_for() -> None:
    plan, seconds, ends = Budget(TrainingConfig(seconds=10.0)), 0.0, []
    for epoch in range(9):
        spent = Spent(0.0, seconds, 3.0 if epoch else 0.0)
        if plan.is_spent(spent):
            break
        ends.append(plan.span(epoch, spent, 5))
        seconds += 3.0
    assert ends == [(0, 0), (0.3, 0.6), (0.6, 0.9)]
    assert not plan.is_spent(Spent(0.0, 0.0, 99.0))  # a first epoch is trained in any case
    both = Budget(TrainingConfig(seconds=10.0, budget=100, batch=10))
    assert both.span(3, Spent(20.0, 5.0, 1.0), 50) == (0.5, 0.7)
    assert [both.is_spent(one) for one in (Spent(95.0), Spent(20.0, 9.5, 1.0), Spent(20.0, 9.0, 1.0))] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("done", "warmup", "expected"),
    [
        (0.0, 0.0, 2.0),
        (0.25, 0.0, 1.5),
        (1.0, 0.0, 0.0),
        (0.0, 0.2, 0.0),
        (0.1, 0.2, 1.0),
        (0.2, 0.2, 2.0),
        (0.6, 0.2, 1.0),
    ],
)
def test_a_linear_rate_rises_and_falls(done: float, warmup: float, expected: float) -> None:
    config = TrainingConfig(lr=2.0, schedule="linear", warmup=warmup)
    assert config.learning_rate(3, done) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 5, 12, 22])
def test_all_positives_have_their_turn_before_one_has_a_second(k: int) -> None:
    rounds = -(-23 // k)
    for first in (0, rounds):
        turns = [walked(BAGS, k, seed=3, epoch=first + turn).number.tolist() for turn in range(rounds)]
        assert all(len(set(turn)) == k for turn in turns)
        counts = Counter(number for turn in turns for number in turn)
        assert set(counts) == set(range(23))
        assert sum(counts.values()) - 23 == rounds * k - 23
        assert max(counts.values()) <= 2
    assert walked(BAGS, k, 3, 0).number.tolist() != walked(BAGS, k, 4, 0).number.tolist()


@pytest.mark.parametrize("k", [0, 23, 99])
def test_all_are_taken_where_there_are_no_more(k: int) -> None:
    assert walked(BAGS, k, 0, 5) is BAGS


@given(ones=st.integers(0, 40), zeros=st.integers(1, 40), size=st.integers(1, 20))
def test_every_batch_has_both_labels_in_proportion(ones: int, zeros: int, size: int) -> None:
    label = np.repeat([1, 0], [ones, zeros])
    order = epoch_order(label, 0, 1, TrainingConfig(stratified=True))
    assert sorted(order.tolist()) == list(range(ones + zeros))
    for start in range(0, len(order), size):
        batch = label[order[start : start + size]]
        assert abs(batch.sum() - len(batch) * ones / len(label)) <= 1


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(BadInput, match="training.budget=7; expected at least a batch, 8 bags"):
        TrainingConfig(budget=7, batch=8)
    with pytest.raises(BadInput, match="training.weighted and training.stratified"):
        TrainingConfig(weighted=True, stratified=True)
    assert SamplingConfig(positives=10, ratio=0.5).negatives(100) == 20
    assert SamplingConfig(positives=10, ratio=0.5).negatives(4) == 8


@pytest.mark.parametrize(("prior", "share"), [("balanced", 1.0), ("natural", 5.0), ("0.25", 0.25)])
def test_negatives_weigh_what_the_prior_says(prior: str, share: float) -> None:
    bags = bag_set([1] * 24)
    positives = ChosenPositives.alike(bags.subset(np.arange(4)))
    pool = bags.subset(np.arange(4, 24))
    chosen = Selection(np.array([3, 9, 0]), np.zeros(3), np.array([1.0, 2.0, 3.0]), 0)
    weight = epoch_set(positives, pool, chosen, TrainingConfig(prior=prior).negative_share(4, 20)).weight
    assert weight[4:].sum() == pytest.approx(share * weight[:4].sum())
    assert weight.mean() == pytest.approx(1.0)
    assert weight[4:] / weight[4] == pytest.approx([1.0, 2.0, 3.0])
    assert epoch_set(positives, pool, chosen, TrainingConfig().negative_share(4, 20)).weight.tolist() == [1] * 5 + [
        2,
        3,
    ]
    for wrong in ("", "-1", "0", "nan", "inf", "often"):
        with pytest.raises(BadInput, match="training.prior="):
            TrainingConfig(prior=wrong)


def test_the_seconds_of_a_run_are_those_of_rank_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = WorkerGroup.on_rank0

    def slower(group: WorkerGroup, work: Callable[[], object]) -> object:
        answer = answered(group, work)
        return answer | {"train": 9.0} if isinstance(answer, dict) and {"train", "total"} <= answer.keys() else answer

    monkeypatch.setattr(WorkerGroup, "on_rank0", slower)
    settings = ["training.epochs=9", "training.seconds=20", "data.image_size=16", "data.bag_size=4"]
    with Runner() as runner:
        summary = runner.run(override(recipe("digits"), settings), tmp_path / "run")
    assert (summary["epochs_run"], summary["seconds"]["train"]) == (2, 18.0)


@pytest.mark.parametrize(("rounds", "staleness"), [(0, 0), (1, 1), (2, 3)])
def test_a_memory_needs_a_random_round_before_the_first_that_it_serves(rounds: int, staleness: int) -> None:
    with pytest.raises(BadInput, match=r"sampling\.score=memory with sampling\.random_rounds=.*raise sampling"):
        SamplingConfig(score="memory", random_rounds=rounds, staleness=staleness)
    assert SamplingConfig(score="memory", random_rounds=staleness + 1, staleness=staleness).score == "memory"


def test_text_that_no_file_can_hold_is_refused() -> None:
    with pytest.raises(BadInput, match=r"log\.project=a\\udcff; expected text in UTF-8"):
        override(recipe("digits"), ["log.project=a\udcff"])
    with pytest.raises(BadInput, match="printable characters"):
        check_fit(override(recipe("digits"), ["name=a\udcff"]))
