"""A run goes on, and is reported as finished, only with the data that it began with."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from negsift.common.data.bags_digest import split_digests
from negsift.common.data.config import DataConfig
from negsift.common.data.instances import Instances
from negsift.common.data.split import split_bags
from negsift.common.errors import BadInput
from negsift.deploy.dry_run import describe_run
from negsift.deploy.recipes import recipe
from negsift.deploy.run import Runner
from negsift.deploy.run_config import RunConfig
from negsift.deploy.same_data import record_data, require_same_data
from negsift.trainer.folder import Json, RunFolder
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


def test_bags_of_images_are_compared_by_their_pixels(tmp_path: Path) -> None:
    folder, config = RunFolder(tmp_path / "run"), DataConfig(bag_size=2)

    def digests(seed: int) -> Json:
        pixels = np.random.default_rng(seed).integers(0, 255, (200, 1, 4, 4), dtype=np.uint8)
        images = Instances(np.arange(200) % 4, ("0", "1", "2", "3"), in_memory=pixels)
        return split_digests(split_bags(images, images, config))

    require_same_data(folder, config, lambda: digests(0))  # nothing is known of the data of an earlier version's run
    record_data(folder, config, lambda: digests(0))
    require_same_data(folder, config, lambda: digests(0))
    with pytest.raises(BadInput, match=r"other data in digits .* \(pool, positives, test, val changed\)"):
        require_same_data(folder, config, lambda: digests(1))


def test_the_digests_of_the_parts_are_computed_once_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = list[str]()
    monkeypatch.setattr("negsift.common.data.bags_digest.bags_digest", lambda bags: hashed.append(bags.name) or "0")
    base = recipe("digits")
    config = replace(base, training=replace(base.training, epochs=1))
    run(config, tmp_path / "run")
    assert len(hashed) == 4
