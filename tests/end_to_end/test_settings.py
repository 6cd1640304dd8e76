"""Settings by words, by `--set` and by files all mean the same."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.overrides import to_dict
from negsift.deploy.commands import parser
from negsift.deploy.main import main
from negsift.deploy.recipes import RECIPES, recipe
from negsift.deploy.run_config import RunConfig, default_folder
from negsift.deploy.settings import configured
from negsift.service.config import FleetConfig
from negsift.service.strategies import STRATEGIES

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0),
    "data.target": st.text().map(str.strip),
    "data.root": st.none() | st.text(min_size=1).map(lambda text: f"/{text.strip()}"),
    "training.epochs": st.integers(1),
    "training.weighted": st.booleans(),
    "sampling.ratio": st.floats(1e-3, 1e3) | st.integers(1, 1000),
    "sampling.candidates": st.none() | st.integers(1),
    "strategy.name": st.sampled_from(sorted(STRATEGIES)),
    "fleet.scoring.frozen": st.booleans(),
}
SETTINGS = st.fixed_dictionaries({}, optional=VALUES)


def config_of(*words: str) -> RunConfig:
    """The configuration that `negsift train` makes of these words."""
    arguments = parser().parse_args(["train", *words])
    return configured(recipe(arguments.recipe), arguments)


def fleet_of(*words: str) -> FleetConfig:
    """The configuration that `negsift serve up` makes of these words."""
    return configured(FleetConfig(kind="ray"), parser().parse_args(["serve", "up", *words]))


def stored(settings: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested dicts."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        *rooms, name = key.split(".")
        place = nested
        for room in rooms:
            place = place.setdefault(room, {})
        place[name] = value
    return nested


@given(settings=SETTINGS)
def test_words_set_and_config_give_the_same_configuration(
    settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = [f"{key}={value}" for key, value in settings.items()]
    file = tmp_path_factory.getbasetemp() / "settings.json"
    file.write_text(json.dumps(stored(settings)))
    config = config_of("digits", *words)
    assert config_of("digits", *(f"--set={word}" for word in words)) == config
    assert config_of("digits", "--config", str(file)) == config
    assert json.dumps(to_dict(config_of("digits", "--config", str(file)))) == json.dumps(to_dict(config))


@pytest.mark.parametrize("name", RECIPES)
def test_without_settings_a_recipe_is_as_it_is(name: str) -> None:
    assert config_of(name) == recipe(name)
    assert fleet_of("pool") == FleetConfig(kind="ray")


@pytest.mark.parametrize("name", RECIPES)
def test_the_config_of_a_run_gives_the_same_run_again(name: str, tmp_path: Path) -> None:
    config = config_of(name, "seed=7", "sampling.ratio=3", "fleet.shards=2", "model.weights=a=b")
    (tmp_path / "config.json").write_text(json.dumps(to_dict(config)))
    again = config_of(name, "--config", str(tmp_path / "config.json"))
    assert again == config
    assert default_folder(again) == default_folder(config)


def test_toml_means_the_same_as_json(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('seed = 7\n[strategy]\nname = "badge"\n[sampling]\nratio = 2\nrescore = 64\n')
    again = config_of("digits", "--config", str(tmp_path / "a.toml"))
    assert again == config_of("digits", "seed=7", "strategy.name=badge", "sampling.ratio=2", "sampling.rescore=64")


def test_command_line_overrides_files_and_files_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"training": {"epochs": 3, "batch": 8}, "seed": 1}')
    (tmp_path / "b.toml").write_text("seed = 2\n")
    files = ["--config", str(tmp_path / "a.json"), "--config", str(tmp_path / "b.toml")]
    config = config_of("digits", "training.epochs=5", *files)
    assert (config.training.epochs, config.training.batch, config.training.patience, config.seed) == (5, 8, 20, 2)


@pytest.mark.parametrize(
    ("words", "seed"),
    [
        (["seed=1", "--set", "seed=2"], 2), (["--set", "seed=2", "seed=1"], 1), (["seed=1", "--set=seed=2", "seed=3"], 3),
        (["--out", "seed=4", "seed=1"], 1), (["seed=1", "--out", "seed=4"], 1),
    ],
)  # fmt: skip
def test_the_last_setting_wins_however_it_is_written(words: list[str], seed: int) -> None:
    assert config_of("digits", *words).seed == seed
    assert config_of("--set", "seed=9", "digits", *words).seed == seed


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nowhere.json", None, r"nowhere.json unreadable \(No such file or directory\); expected a JSON file of settings"),
        ("folder", ..., "a folder at .*folder; expected a JSON file of settings"),
        ("a.json", "seed = 1", r"a.json unreadable \(Expecting value.*expected a JSON file of settings"),
        ("a.toml", '{"seed": 1}', "a.toml unreadable .*expected a TOML file of settings"),
        ("a.json", "\0", "a.json unreadable"),
        ("a.json", "[1]", "a list in .*a.json; expected a JSON object"),
        ("a.json", '{"sead": 1}', "key .*'sead' in .*a.json; expected one of augment.*did you mean 'seed'"),
        ("a.toml", "[strategy]\nnmae = 'badge'", "'strategy.nmae'.*'nmae' in .*a.toml;.*did you mean 'name'"),
        ("a.json", '{"seed": "1"}', "seed='1' in .*a.json; expected a value of type int; correct seed"),
        ("a.json", '{"fleet": 3}', "key 'fleet' in .*a.json; expected a key such as fleet.kind"),
        ("a.json", '{"training": {"epochs": 0}}', "training.epochs=0 in .*a.json; expected 1 or more"),
        ("a.json", '{"training": {"lr": NaN}}', "training.lr=nan in .*a.json; expected a number above 0"),
        ("a.json", '{"strategy": {"name": "bagde"}}', "strategy 'bagde' in .*a.json;.*did you mean 'badge'"),
        ("a.json", '{"recipe": "cifar10"}', "recipe 'cifar10' in .*a.json; expected 'digits'"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line_that_names_it_and_exit_code_2(
    name: str, text: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is ...:
        (tmp_path / name).mkdir()
    elif text is not None:
        (tmp_path / name).write_text(text)
    assert main(["train", "digits", "--config", str(tmp_path / name), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1


@pytest.mark.parametrize("key", ["shards", "gpus_per_shard"])
@pytest.mark.parametrize("value", ["-1", "two", "nan", "1=2", "{x}"])
def test_options_that_repeat_a_key_are_checked_as_the_key_is(
    key: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "up", "pool", f"--{key.replace('_', '-')}", value]) == 2
    by_option = capsys.readouterr().err
    assert main(["serve", "up", "pool", f"{key}={value}"]) == 2
    assert capsys.readouterr().err == by_option
    assert f"{key}=" in by_option


def test_options_that_repeat_a_key_take_turns_with_it() -> None:
    assert fleet_of("pool", "--shards", "2", "shards=3").shards == 3
    assert fleet_of("pool", "shards=3", "--shards", "2", "--gpus-per-shard", "0.5").shards == 2
    words = ["--shards", "2", "--set", "cpus_per_shard=0.25", "scoring.frozen=yes", "--gpus-per-shard", "0.5"]
    changed = {"kind": "ray", "shards": 2, "cpus_per_shard": 0.25, "gpus_per_shard": 0.5}
    fleet = fleet_of("pool", *words)
    assert fleet == dataclasses.replace(FleetConfig(**changed), scoring=fleet.scoring)
    assert fleet.scoring.frozen
