"""Recorded selections made again on Ray: those of local runs, and here those of a run of several trainer workers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from negsift.common.overrides import override
from negsift.deploy.main import main
from negsift.deploy.recipes import digits
from negsift.deploy.replay import Replay, stored_config
from negsift.deploy.run import Runner
from negsift.trainer.folder import RunFolder
from tests.end_to_end.test_replay import POLICIES, configured, photos
from tests.unit.tables import as_table, random_bags, third_positive, write

pytestmark = pytest.mark.usefixtures("local_ray")
ON_RAY = ["fleet.kind=ray", "fleet.shards=3", "fleet.cpus_per_shard=0.5"]


@pytest.mark.slow
def test_selections_of_several_trainer_workers_are_the_same_here(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [
        "training.epochs=2",
        "training.workers=2",
        "training.keep_weights=all",
        "sampling.rescore=64",
        *ON_RAY,
        "fleet.shards=2",
    ]
    config = override(digits(), ["strategy.name=kl_prob", *words])
    with Runner() as runner:
        runner.run(config, tmp_path)
    assert main(["replay", str(tmp_path), "--fleet", "local", "--shards", "2"]) == 0
    assert capfd.readouterr().out.count("the same bit for bit: 22 negatives by kl_prob") == 2


@pytest.fixture(scope="module")
def here() -> Iterator[Runner]:
    with Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def on_ray() -> Iterator[Runner]:
    """Starts one fleet for all runs."""
    with Runner() as runner:
        yield runner


@pytest.mark.parametrize("settings", [words for words in POLICIES.values() if "bfloat16" not in words])
def test_selections_of_a_local_run_are_the_same_on_ray(
    settings: str, here: Runner, on_ray: Runner, tmp_path: Path
) -> None:
    here.run(configured("digits", "fleet.kind=local", *settings.split()), tmp_path)
    assert_same_on_ray(RunFolder(tmp_path), on_ray)


def assert_same_on_ray(folder: RunFolder, on_ray: Runner) -> None:
    again = Replay(folder, override(stored_config(folder), ON_RAY), on_ray)
    verdicts = [again.verdict(epoch) for epoch in folder.inputs_of]
    assert verdicts
    assert all(verdict.same for verdict in verdicts), verdicts


@pytest.mark.slow
def test_selections_of_a_folder_of_images_are_the_same_on_ray(here: Runner, on_ray: Runner, tmp_path: Path) -> None:
    words = ("data.target=bird", "data.image_size=16", "data.bag_size=2", "sampling.ratio=4", "strategy.name=badge")
    config = configured("images", "fleet.kind=local", f"data.root={photos(tmp_path / 'photos')}", *words)
    here.run(config, tmp_path / "run")
    assert_same_on_ray(RunFolder(tmp_path / "run"), on_ray)


@pytest.mark.slow
def test_selections_of_a_table_that_has_grown_since_are_the_same_on_ray(
    here: Runner, on_ray: Runner, tmp_path: Path
) -> None:
    write(tmp_path / "table", as_table(random_bags(200), third_positive(200)))
    words = ("data.target=bird", "data.val_share=0.2", "sampling.ratio=2", "sampling.rescore=32")
    config = configured("table", "fleet.kind=local", f"data.root={tmp_path / 'table'}", *words, "strategy.name=kl_prob")
    here.run(config, tmp_path / "run")
    write(tmp_path / "table", as_table(random_bags(100, 1), third_positive(100), first=200), append=True)
    assert_same_on_ray(RunFolder(tmp_path / "run"), on_ray)
