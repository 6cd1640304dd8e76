"""Claims are judged by their rules."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from negsift.common.errors import BadData
from negsift.common.overrides import flat, to_dict
from negsift.deploy.studies import STUDIES, study_named
from negsift.deploy.sweep.trial import TrialSpec
from negsift.trainer.folder import RunFolder
from negsift.trainer.report.study_table import study_markdown
from negsift.trainer.results.claims import (
    CONFIRMED,
    NOT_CONFIRMED,
    UNDECIDED,
    Evidence,
    Pair,
    all_above,
    any_not_below,
    not_below,
    same_within,
    win_most,
)
from negsift.trainer.results.design import Block
from negsift.trainer.results.outcome import Printed, read_outcome, reproduced
from negsift.trainer.results.runs import ReportedRun
from tests.unit.trainer.results.made import made_run

BLOCKS = [Block(target, seed) for target in "01358" for seed in "012"]
LOW = dict.fromkeys(BLOCKS, 0.5)


def higher(by: Mapping[int, float]) -> dict[Block, float]:
    """0.5, and more in some of the fifteen blocks."""
    return {block: 0.5 + by.get(number, 0.0) for number, block in enumerate(BLOCKS)}


def pair(by: Mapping[int, float], name: str = "badge") -> Pair:
    return Pair(name, higher(by), LOW)


def finished(trial: TrialSpec) -> ReportedRun:
    """A run of the trial, as if it had been made."""
    settings = {key: v if isinstance(v, str) else json.dumps(v) for key, v in flat(to_dict(trial.config)).items()}
    number = zlib.crc32(trial.name.encode()) / 2**32
    made = made_run(trial.config.strategy.name, number)
    assert made.summary is not None
    epochs = tuple(replace(epoch, values={**epoch.values, "loss": number}) for epoch in made.epochs)
    values = {**made.summary.values, "best_epoch": number, "last.ap": number / 2}
    return replace(made, settings=settings, epochs=epochs, summary=replace(made.summary, values=values))


def all_by(amount: float, spread: float = 0.0001) -> dict[int, float]:
    return {number: amount + spread * (number % 3) for number in range(15)}


@pytest.mark.parametrize(
    ("by", "outcome"),
    [
        (all_by(0.0), CONFIRMED), (all_by(0.005), CONFIRMED), (all_by(0.02), NOT_CONFIRMED), (all_by(-0.02), NOT_CONFIRMED),
        ({0: 0.2, 1: -0.2}, UNDECIDED), ({}, CONFIRMED),
    ],
)  # fmt: skip
def test_the_same_is_what_lies_within_the_margin(by: dict[int, float], outcome: str) -> None:
    assert same_within(0.01, pair(by)).outcome == outcome


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (all_by(0.01), all_by(0.02), CONFIRMED), (all_by(0.01), all_by(-0.02), NOT_CONFIRMED),
        (all_by(0.01), {0: 0.1}, UNDECIDED), ({0: -0.1}, {}, UNDECIDED),
    ],
)  # fmt: skip
def test_better_than_all_is_every_difference_significant(
    first: dict[int, float], second: dict[int, float], outcome: str
) -> None:
    assert all_above([pair(first), pair(second)]).outcome == outcome


@pytest.mark.parametrize(
    ("wins", "outcome"), [(15, CONFIRMED), (12, CONFIRMED), (11, UNDECIDED), (8, UNDECIDED), (7, NOT_CONFIRMED)]
)
def test_most_of_fifteen_is_twelve(wins: int, outcome: str) -> None:
    by = {number: 0.01 if number < wins else -0.01 for number in range(15)}
    assert win_most([pair(by)]).outcome == outcome


def test_each_of_several_has_to_win_after_holm() -> None:
    by = {number: 0.01 if number < 12 else -0.01 for number in range(15)}
    judged = win_most([pair(by), pair(all_by(0.01), "kl_prob")])
    assert judged.outcome == CONFIRMED  # .0176 and 2 · .00003
    assert judged.numbers == "badge 12 of 15; kl_prob 15 of 15"
    assert win_most([pair(by)] * 3).outcome == UNDECIDED  # 3 · .0176


def test_targets_are_won_by_their_mean_over_seeds() -> None:
    by = {0: 0.9, 1: -0.1, 2: -0.1} | dict.fromkeys(range(3, 15), 0.01)
    assert win_most([pair(by)], by_target=True).numbers == "badge 5 of 5"
    assert win_most([pair(by)]).numbers == "badge 13 of 15"


def test_a_limit_above_the_margin_confirms_and_a_mean_below_it_denies() -> None:
    difference = np.array([0.02, 0.03, 0.01, 0.025, 0.015] * 3)
    limit = stats.ttest_1samp(difference, 0, alternative="greater").confidence_interval(0.95).low
    by = dict(enumerate(difference))
    assert not_below(limit - 1e-6, pair(by)).outcome == CONFIRMED
    assert not_below(limit + 1e-6, pair(by)).outcome == UNDECIDED
    assert not_below(float(difference.mean()) + 1e-6, pair(by)).outcome == NOT_CONFIRMED
    shared = stats.ttest_1samp(difference, 0, alternative="greater").confidence_interval(0.975).low
    low = pair(dict.fromkeys(range(15), -0.1))
    assert any_not_below(shared - 1e-6, [low, pair(by)]).outcome == CONFIRMED
    assert any_not_below(shared + 1e-6, [low, pair(by)]).outcome == UNDECIDED
    assert any_not_below(0.05, [low, pair(by)]).outcome == NOT_CONFIRMED


def test_nothing_is_decided_without_runs() -> None:
    empty = Pair("badge", {}, LOW)
    rules = (same_within(0.01, empty), all_above([empty]), win_most([empty]), not_below(0.0, empty))
    assert {rule.outcome for rule in rules} == {UNDECIDED}


def test_evidence_is_of_runs_with_the_base_s_settings() -> None:
    runs = [
        made_run("random", 0.5, "0", 0, model__pooling="mean"), made_run("random", 0.9, "0", 0, model__pooling="max"),
        made_run("random", 0.6, "0", 1, model__pooling="mean", fleet__kind="ray"),
        made_run("full", 0.7, "0", 0, ratio=5.0, model__pooling="mean"), made_run("random", 0.8, "0", 0, ratio=5.0),
    ]  # fmt: skip
    base = {
        "recipe": "toy",
        "sampling.ratio": "1.0",
        "model.pooling": "mean",
        "data.target": "7",
        "fleet.kind": "local",
    }
    evidence = Evidence(runs, base)
    assert evidence.values({"strategy.name": "random"}) == {Block("0", "0"): 0.5, Block("0", "1"): 0.6}
    assert evidence.values({"strategy.name": "random", "model.pooling": "max"}) == {Block("0", "0"): 0.9}
    assert evidence.values({"strategy.name": "full"}) == {Block("0", "0"): 0.7}


@pytest.mark.parametrize("name", STUDIES)
def test_every_claim_of_a_study_is_judged_also_without_runs(name: str) -> None:
    study = study_named(name)
    assert {found.outcome for found in study.outcome([]).claims} == {UNDECIDED}
    assert len(study.rules.splitlines()) > 2


@pytest.mark.parametrize("name", STUDIES)
def test_every_claim_finds_the_runs_it_is_about(name: str) -> None:
    """Each number of a claim on a sweep in which every trial has run is known."""
    study = study_named(name)
    runs = [finished(trial) for trial in study.trials(yes=False).values()]
    outcome = study.outcome(runs)
    assert not [claim for claim in outcome.claims if "nan" in claim.numbers or " of 0" in claim.numbers]
    assert {found.here.count for found in outcome.reproduced} <= {3}


def test_what_a_study_found_is_read_as_it_was_written(tmp_path: Path) -> None:
    study = study_named("table1")
    some = [finished(trial) for trial in list(study.trials(yes=False).values())[::7]]
    RunFolder(tmp_path).write_json("study.json", study.outcome(some).as_json())
    outcome = read_outcome(tmp_path)
    assert outcome is not None
    assert study_markdown(outcome) == study_markdown(study.outcome(some))
    (tmp_path / "study.json").write_text('{"study": "table1", "claims": [{"claim": 1}]}')
    with pytest.raises(BadData, match=r"study\.json.*remove that file alone$"):
        read_outcome(tmp_path)


def test_printed_numbers_stand_beside_the_mean_of_the_same_runs() -> None:
    runs = [made_run("full", ap, target, seed) for target, seed, ap in (("0", 0, 0.8), ("0", 1, 0.9), ("1", 0, 0.2))]
    printed = [Printed("full", "0", "test.ap", 0.88), Printed("full", "1", "test.ap", 0.9)]
    found = reproduced(printed, Evidence(runs, {}))
    assert [(one.here.mean, one.here.count) for one in found] == [(pytest.approx(0.85), 2), (0.2, 1)]
