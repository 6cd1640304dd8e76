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
from tests.end_to_end.test_replay import POLICIES, configured

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
    folder = RunFolder(tmp_path)
    here.run(configured("digits", "fleet.kind=local", *settings.split()), folder.path)
    again = Replay(folder, override(stored_config(folder), ON_RAY), on_ray)
    verdicts = [again.verdict(epoch) for epoch in folder.inputs_of]
    assert verdicts
    assert all(verdict.same for verdict in verdicts), verdicts
