"""A run goes on, and is reported as finished, only with the data that it began with."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from negsift.common.errors import BadInput
from negsift.deploy.dry_run import describe_run
from negsift.deploy.recipes import RunConfig, recipe
from negsift.deploy.run import Runner
from negsift.trainer.folder import Json
from tests.unit.tables import as_table, random_bags, third_positive, write


def build(path: Path, seed: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    write(path, as_table(random_bags(60, seed=seed), third_positive(60)))


@pytest.fixture
def begun(tmp_path: Path) -> tuple[RunConfig, Path]:
    build(tmp_path / "table", seed=0)
    base = recipe("table")
    config = replace(
        base, data=replace(base.data, root=str(tmp_path / "table"), target="bird"),
        training=replace(base.training, epochs=1),
    )  # fmt: skip
    run(config, tmp_path / "run")
    return config, tmp_path / "run"


def run(config: RunConfig, out: Path) -> Json:
    with Runner() as runner:
        return runner.run(config, out)


def test_a_finished_run_is_refused_with_other_data_and_reported_with_equal_or_lost_ones(
    begun: tuple[RunConfig, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, out = begun
    before = run(config, out)
    build(tmp_path / "table", seed=0)  # files of other names, the same bags
    assert run(config, out) == before
    build(tmp_path / "table", seed=1)
    with pytest.raises(BadInput, match=r"other data in .*table than the run in .*run began with \(table changed\)"):
        run(config, out)
    with pytest.raises(BadInput, match=r"\(table changed\)"):
        describe_run(config, out)
    shutil.rmtree(tmp_path / "table")
    with caplog.at_level(logging.INFO):
        assert run(replace(config, model=replace(config.model, name="mlp")), out) == before
    assert "whether its data are still the same can't be said: no bag table at" in caplog.text


def test_a_run_does_not_go_on_with_other_data(begun: tuple[RunConfig, Path], tmp_path: Path) -> None:
    config, out = begun
    before = run(config, out)
    (out / "summary.json").unlink()  # as if it had been killed
    build(tmp_path / "table", seed=1)
    with pytest.raises(BadInput, match="the same data; restore them, choose another --out, or remove the run"):
        run(config, out)
    build(tmp_path / "table", seed=0)
    assert run(config, out)["test"] == before["test"]
