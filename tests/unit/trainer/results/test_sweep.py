"""The results of a whole sweep, also where much of it is missing."""

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negsift.trainer.results.files import as_json
from negsift.trainer.results.notes import notes_on
from negsift.trainer.results.strategy import StrategyResults
from negsift.trainer.results.sweep import SweepResults, sweep_results
from negsift.trainer.results.trials import DAMAGED, FAILED, STATES, STOPPED, UNFINISHED, Trial
from tests.unit.trainer.results.made import made_trial

AP = {"full": 0.9, "random": 0.6, "badge": 0.7, "entropy": 0.5}
TRIALS = tuple(
    made_trial(name, ap + 0.01 * seed + 0.1 * (target == "1"), target, seed, ratio)
    for name, ap in AP.items()
    for target in ("0", "1")
    for seed in range(3)
    for ratio in ((1.0,) if name == "full" else (1.0, 5.0))
)


def results_of(*trials: Trial) -> SweepResults:
    return sweep_results(trials, "negsift sweep toy")


def row(results: SweepResults, strategy: str, setting: int = 0) -> StrategyResults:
    return next(row for row in results.settings[setting].strategies if row.strategy == strategy)


def ended(trial: Trial, state: str, reason: str = "") -> Trial:
    run = dataclasses.replace(trial.run, summary=None) if trial.run else None
    return dataclasses.replace(trial, state=state, reason=reason, run=run)


def test_every_ratio_has_its_own_random_and_the_one_full_set() -> None:
    first, second = results_of(*TRIALS).settings
    assert (first.title, second.title) == ("sampling.ratio=1.0", "sampling.ratio=5.0")
    assert [row.strategy for row in first.strategies] == ["full", "badge", "random", "entropy"]
    assert (first.random, second.random) == ("random · sampling.ratio=1.0", "random · sampling.ratio=5.0")
    assert first.full == second.full == "full"


def test_means_are_over_blocks_and_by_bags_over_seeds() -> None:
    badge = row(results_of(*TRIALS), "badge").main
    assert (badge.mean.mean, badge.mean.count) == (pytest.approx(0.76), 6)
    assert {data: mean.mean for data, mean in badge.by_data.items()} == pytest.approx(
        {"target 0": 0.71, "target 1": 0.81}
    )


def test_strategies_are_compared_with_random_and_corrected_for_those_tried() -> None:
    badge = row(results_of(*TRIALS), "badge").main.against_random
    assert badge
    assert badge.difference.mean == pytest.approx(0.1)
    assert (badge.tried, badge.p.sign_flip, badge.holm.sign_flip) == (2, 2 / 64, 4 / 64)
    assert (badge.wins.wins, badge.wins.losses, badge.improvement) == (2, 0, 1.0)


def test_the_full_set_is_compared_with_random_but_is_no_strategy_that_was_tried() -> None:
    full = row(results_of(*TRIALS), "full").main.against_random
    assert full
    assert (full.tried, full.holm) == (1, full.p)


@pytest.mark.parametrize(("gap", "shown"), [(0.0, True), (0.009, True), (0.011, False), (0.3, False)])
def test_non_inferiority_is_shown_by_the_limit_alone(gap: float, shown: bool) -> None:
    full = [made_trial("full", 0.8, seed=seed) for seed in range(4)]
    badge = [made_trial("badge", 0.8 - gap, seed=seed) for seed in range(4)]
    assert row(results_of(*full, *badge), "badge").non_inferior is shown


def test_more_bags_trained_are_told() -> None:
    more = made_trial("full", 0.9)
    assert more.run
    assert more.run.summary
    values = dict(more.run.summary.values) | {"bags.trained": 300.0}
    run = dataclasses.replace(more.run, summary=dataclasses.replace(more.run.summary, values=values))
    full = row(results_of(dataclasses.replace(more, run=run), made_trial("random", 0.6)), "full")
    assert full.trained_against_random == 5.0


def test_only_finished_trials_are_in_means_and_the_others_are_named() -> None:
    endings = (STOPPED, "hopeless"), (FAILED, "no such folder"), (UNFINISHED, "")
    others = [ended(made_trial("badge", 0.1, seed=seed), *end) for seed, end in enumerate(endings)]
    results = results_of(*others, made_trial("badge", 0.7, seed=3), made_trial("random", 0.6, seed=3))
    assert row(results, "badge").main.mean.mean == 0.7
    assert row(results, "badge").trials == dict.fromkeys(STATES, 1) | {DAMAGED: 0}
    text = " ".join(notes_on(results))
    assert "1 trial stopped early, in no mean: badge-0-0-1.0- (hopeless)." in text
    assert "1 trial failed, in no mean: badge-0-1-1.0- (no such folder)." in text
    assert "1 trial not finished" in text


def test_a_trial_that_failed_before_it_had_a_configuration_is_counted() -> None:
    lost = dataclasses.replace(TRIALS[0], name="lost", state=FAILED, reason="no data", run=None)
    assert results_of(lost, *TRIALS).states() == {"failed": 1, "finished": len(TRIALS)}


@pytest.mark.parametrize(
    ("trials", "note"),
    [
        ([made_trial("badge", 0.5), made_trial("full", 0.5)], "no random, so nothing is compared with it."),
        ([made_trial("badge", 0.5), made_trial("random", 0.5)], "no full set, so non-inferiority is not known."),
        ([made_trial("random", 0.5)], "one block alone, so nothing has an error."),
        (TRIALS[:-1], "sampling.ratio=5.0: means over fewer than all 6 blocks: entropy 5."),
        ([made_trial("badge", math.nan)], "badge has 1 block without a test AP"),
        ([made_trial("badge", 0.5)] * 2, "badge has 1 trial that repeat"),
        ([ended(made_trial("badge", 0.5), UNFINISHED)], "1 trial not finished"),
    ],
)
def test_what_is_missing_is_told(trials: list[Trial], note: str) -> None:
    assert note in " ".join(notes_on(results_of(*trials)))


def test_an_undefined_ap_is_in_no_mean_and_no_pair() -> None:
    trials = [
        made_trial(name, ap, seed=seed) for name in ("badge", "random") for seed, ap in enumerate((0.5, math.nan))
    ]
    badge = row(results_of(*trials, made_trial("badge", 0.7, seed=2)), "badge").main
    assert badge.mean.mean == pytest.approx(0.6)
    assert badge.against_random
    assert badge.against_random.difference.count == 1


ANY = st.builds(
    made_trial,
    st.sampled_from(["full", "random", "badge", "entropy"]),
    st.sampled_from([0.0, 0.5, 0.5000001, 1.0, math.nan]),
    st.sampled_from("01"),
    st.integers(0, 2),
    st.sampled_from([1.0, 5.0]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(ANY, st.sampled_from([*STATES[:1] * 3, *STATES[1:]])), min_size=1, max_size=14))
def test_any_sweep_has_results_that_are_valid_json(trials: list[tuple[Trial, str]]) -> None:
    results = results_of(*(trial if state == STATES[0] else ended(trial, state) for trial, state in trials))
    assert json.loads(json.dumps(as_json(results), allow_nan=False))["states"]
    assert sum(sum(row.trials.values()) for setting in results.settings for row in setting.strategies)
