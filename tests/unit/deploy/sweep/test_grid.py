"""How values of settings become trials."""

from dataclasses import replace

import pytest

from negsift.common.errors import BadInput, UnknownName
from negsift.common.overrides import override
from negsift.deploy.recipes import digits
from negsift.deploy.studies import STUDIES, study_named
from negsift.deploy.sweep.grid import expand, parse_axes, size
from negsift.deploy.sweep.study import Study, StudyRow
from negsift.deploy.sweep.trial import trial_of
from negsift.service.config import FleetConfig
from negsift.trainer.config import SamplingConfig, TrainingConfig

AXES = {"strategy.name": ("random", "badge"), "data.target": ("0", "1", "8")}


def test_a_value_with_a_comma_is_quoted() -> None:
    assert parse_axes(['data.target=Speech, "zero, One",dog']) == {"data.target": ("Speech", "zero, One", "dog")}
    for bad in ('data.target="",a', "data.target=a\rb,c", "data.target=", "data.target=a,,b"):
        with pytest.raises(BadInput, match="--over"):
            parse_axes([bad])


def test_every_combination_runs_with_every_seed() -> None:
    configs = [trial.config for trial in expand(digits(), [AXES], 2)]
    found = [(config.strategy.name, config.data.target, config.seed) for config in configs]
    assert sorted(found) == [
        (name, target, seed) for name in ("badge", "random") for target in "018" for seed in (0, 1)
    ]
    assert len(found) == size([AXES], 2)


def test_seeds_come_one_after_another_so_that_comparisons_are_whole() -> None:
    assert [trial.config.seed for trial in expand(digits(), [AXES], 3)] == [0] * 6 + [1] * 6 + [2] * 6


def test_combinations_of_several_grids_run_once() -> None:
    again = {"strategy.name": ("badge", "full"), "data.target": ("8",)}
    assert len(expand(digits(), [AXES, again, AXES], 1)) == 7


def test_a_full_set_runs_once_for_all_ratios() -> None:
    trials = expand(digits(), [{"strategy.name": ("full", "random"), "sampling.ratio": ("1", "2", "5")}], 1)
    assert [trial.config.strategy.name for trial in trials] == ["full", "random", "random", "random"]
    assert trials[0].config.sampling == SamplingConfig()


def test_seeds_can_be_named() -> None:
    assert [trial.config.seed for trial in expand(digits(), [{"seed": ("7", "3")}], 5)] == [3, 7]


def test_growing_a_sweep_keeps_the_names() -> None:
    few = {trial.name for trial in expand(digits(), [AXES], 2)}
    many = {trial.name for trial in expand(digits(), [AXES | {"strategy.name": ("badge", "random", "margin")}], 3)}
    assert few < many
    assert len(many) == 27


def test_names_tell_settings_apart_and_not_places() -> None:
    one = digits()
    other = replace(one, fleet=FleetConfig(kind="ray", shards=3))
    assert trial_of(one).name == trial_of(other).name
    assert trial_of(one).name == trial_of(replace(one, training=replace(one.training, threads=1))).name
    names = {trial_of(config).name for config in (one, replace(one, training=replace(one.training, lr=0.1)))}
    assert len(names) == 2


def test_a_name_is_a_file_s_whatever_the_class_is_called() -> None:
    config = digits()
    name = trial_of(replace(config, data=replace(config.data, target="../../a b\n" + "é" * 300))).name
    assert "/" not in name
    assert len(name.encode()) < 200


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (["strategy.name"], "strategy.name"), (["=1"], "=1"), (["seed="], "seed="), (["seed=1,,2"], "seed=1,,2"),
        (["seed=1", "seed=2"], "seed twice"), ([""], "''"),
    ],
)  # fmt: skip
def test_axes_of_another_form_are_refused(settings: list[str], found: str) -> None:
    with pytest.raises(BadInput, match=found):
        parse_axes(settings)


@pytest.mark.parametrize(
    ("grid", "error", "found"),
    [
        ({"strategy.nam": ("random",)}, UnknownName, "strategy.nam"),
        ({"strategy.name": ("random", "bagde")}, UnknownName, "bagde"),
        ({"training.epochs": ("3", "many")}, BadInput, "many"),
        ({"training.epochs": ("0",)}, BadInput, "training.epochs=0"),
        ({"seed": ("1.5",)}, BadInput, "1.5"),
        ({"model.name": ("psla",)}, UnknownName, "psla"),
        ({"training.workers": ("1", "2")}, BadInput, "training.workers=2"),
    ],
)
def test_values_that_a_run_would_refuse_are_refused(
    grid: dict[str, tuple[str, ...]], error: type[BadInput], found: str
) -> None:
    with pytest.raises(error, match=found):
        expand(digits(), [grid], 1)


def test_more_than_ten_thousand_trials_need_a_yes() -> None:
    study = Study("digits", digits(), [{"data.target": ("0", "1")}], 5001)
    with pytest.raises(BadInput, match="10,002 trials"):
        study.trials(yes=False)


def test_rows_are_runs_with_a_name_and_take_the_settings_axes_and_seeds_of_the_study() -> None:
    rows = [StudyRow(replace(digits(), name=name), {"data.target": ("0", "1")}) for name in ("one", "other")]
    rows[1] = replace(rows[1], config=override(rows[1].config, ["training.lr=1"]))
    study = Study("some", digits(), [], 1, rows=rows)
    changed = study.on(lambda config: override(config, ["training.batch=4"])).over({"data.target": ("5",)}, 2)
    trials = [trial.config for trial in changed.trials(yes=False).values()]
    assert [(one.name, one.seed, one.data.target, one.training.batch, one.training.lr) for one in trials] == [
        ("one", 0, "5", 4, 0.001), ("other", 0, "5", 4, 1.0), ("one", 1, "5", 4, 0.001), ("other", 1, "5", 4, 1.0),
    ]  # fmt: skip
    with pytest.raises(BadInput, match="data.target, in which the trials of some differ"):
        study.require_used(["data.target=3"])
    for setting in ("training.lr=2", "name=x"):
        with pytest.raises(BadInput, match=r"(training\.lr|name), in which the rows of some differ"):
            study.on(lambda config, setting=setting: override(config, [setting]))  # type: ignore[misc]
    with pytest.raises(BadInput, match=r"training\.lr, in which the rows of some differ"):
        study.over({"training.lr": ("2",)}, None)
    with pytest.raises(BadInput, match="--over name"):
        study.over({"name": ("x",)}, None)


@pytest.mark.parametrize(("axes", "seeds"), [({}, 0), ({}, -3), ({"seed": ("1",)}, 2)])
def test_seeds_that_are_none_are_refused(axes: dict[str, tuple[str, ...]], seeds: int) -> None:
    with pytest.raises(BadInput, match="seed"):
        study_named("digits").over(axes, seeds)


@pytest.mark.parametrize("name", STUDIES)
def test_every_trial_of_a_study_can_be_configured(name: str) -> None:
    study = STUDIES[name]()
    assert study.name == name
    assert len(study.trials(yes=False)) > 1


def test_table_1_has_fifteen_pairs_of_every_strategy() -> None:
    rows = [trial.config for trial in STUDIES["table1"]().trials(yes=False).values()]
    blocks = {(config.strategy.name, config.sampling.ratio, config.data.target, config.seed) for config in rows}
    assert len(blocks) == len(rows) == 15 * (1 + 2 * 8)


def test_a_name_that_is_no_recipe_nor_study_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'table1'"):
        study_named("tabel1")


def test_the_training_of_a_trial_has_one_thread_unless_told() -> None:
    config = digits()
    threads = [
        trial_of(replace(config, training=TrainingConfig(threads=count))).config.training.threads for count in (0, 2)
    ]
    assert threads == [1, 2]
