"""The cost of runs, and of reaching a target."""

import dataclasses
import math

import pytest

from negsift.trainer.results.cost import Target, cost_of, targets_of, time_to_target
from negsift.trainer.results.groups import group_runs
from tests.unit.trainer.results.made import POOL, POSITIVE, K, made_run

EPOCH = POSITIVE + K


def test_a_scored_bag_costs_a_third_of_a_trained_one() -> None:
    cost = cost_of(group_runs([made_run("badge", 0.9)])[0], {})
    assert cost.equivalent.mean == cost.trained.mean + cost.scored.mean / 3 == 2 * EPOCH + POOL / 3


def test_seconds_are_given_with_selection_and_without() -> None:
    cost = cost_of(group_runs([made_run("badge", 0.9)])[0], {})
    assert (cost.seconds.mean, cost.seconds_without_selection.mean) == (8, 6)


def test_a_target_is_a_share_of_the_best_validation_ap() -> None:
    runs = [made_run("full", 0.8, "0"), made_run("full", 0.6, "0", seed=1), made_run("full", 0.5, "1")]
    targets = targets_of(group_runs(runs)[0])
    assert {data: target.ap for data, target in targets.items()} == pytest.approx(
        {"target 0": 0.95 * 0.7, "target 1": 0.95 * 0.5}
    )


@pytest.mark.parametrize(
    ("ap", "reached", "bags", "seconds"), [(0.75, 1, EPOCH, 4), (0.85, 1, 2 * EPOCH + POOL / 3, 8), (0.95, 0, 0, 0)]
)
def test_cost_is_added_up_to_the_epoch_that_reaches_the_target(
    ap: float, reached: int, bags: float, seconds: float
) -> None:
    group = group_runs([made_run("badge", 0.9)])[0]  # validation AP .8, then .9
    found = time_to_target(group.pairs, {"target 0": Target("target 0", ap, "full")})
    assert found.reached == reached
    assert (found.bags, found.seconds) == pytest.approx((bags, seconds)) if reached else math.isnan(found.bags)


def test_a_median_needs_more_than_half_of_the_runs() -> None:
    group = group_runs([made_run("badge", ap, seed=seed) for seed, ap in enumerate((0.9, 0.9, 0.1, 0.1))])[0]
    target = {"target 0": Target("target 0", 0.85, "full")}
    assert math.isnan(time_to_target(group.pairs, target).bags)
    assert time_to_target(group.pairs[:3], target).bags == pytest.approx(2 * EPOCH + POOL / 3)


def test_unfinished_runs_cost_nothing_that_counts() -> None:
    run = dataclasses.replace(made_run("badge", 0.9), summary=None)
    assert cost_of(group_runs([run])[0], {}).seconds.count == 0
