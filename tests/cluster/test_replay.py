"""Recorded selections made again on Ray: those of a local run, and those of a run of several trainer workers."""

from pathlib import Path

import pytest

from negsift.deploy.main import main

pytestmark = pytest.mark.usefixtures("local_ray")
QUICK = ["training.epochs=2", "training.keep_weights=all", "data.image_size=16", "fleet.cpus_per_shard=0.5"]
MADE = "epoch 0: the same bit for bit: 22 negatives by {0}, weights of epoch 0\nepoch 1: the same bit for bit: 22 negatives by {0}, weights of epoch {1}\n"


@pytest.mark.parametrize(
    ("settings", "strategy", "version"),
    [
        ("strategy.name=badge", "badge", 1),
        ("strategy.name=kl_prob sampling.staleness=1 sampling.random_rounds=0", "kl_prob", 0),
        ("strategy.name=entropy training.workers=2 sampling.rescore=64", "entropy", 1),
    ],
)
def test_selections_are_the_same_on_ray_and_here(
    settings: str, strategy: str, version: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    shards = ["fleet.kind=ray", "fleet.shards=2"] if "workers" in settings else ["fleet.shards=1"]
    assert main(["train", "digits", *QUICK, *shards, *settings.split(), "--out", run]) == 0
    for where in ("--fleet ray --shards 3", "--fleet local --shards 2"):
        capfd.readouterr()
        assert main(["replay", run, *where.split()]) == 0
        assert capfd.readouterr().out.endswith(MADE.format(strategy, version))
