"""What a runner shares between runs, and what it lets go."""

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from negsift.deploy.recipes import digits
from negsift.deploy.run import Runner
from negsift.deploy.run_config import RunConfig
from negsift.service.config import FleetConfig
from negsift.trainer.folder import SELECTION
from negsift.trainer.selection_file import read_selection_file


def config(target: str, seed: int = 0) -> RunConfig:
    base = digits()
    short = replace(base.training, epochs=1)
    return replace(base, seed=seed, data=replace(base.data, target=target), training=short)


def test_runs_of_the_same_bags_share_them(tmp_path: Path) -> None:
    with Runner() as runner:
        for seed in range(2):
            runner.run(config("8", seed), tmp_path / str(seed))
            runner.keep_only(config("8", seed))
        assert runner.split(config("8").data) is runner.split(config("8", 1).data)


def test_what_another_configuration_needs_is_let_go(tmp_path: Path) -> None:
    with Runner() as runner:
        runner.run(config("8"), tmp_path / "first")
        pool = weakref.ref(runner.split(config("8").data).pool)
        runner.keep_only(config("3"))
        gc.collect()
        assert pool() is None
        runner.run(config("8"), tmp_path / "second")
    first, second = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("first", "second"))
    assert first["test"] == second["test"]


def test_blocks_that_a_device_chose_are_recorded_and_kept_by_a_resumed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = iter((16, 32))
    monkeypatch.setattr("negsift.service.fleet.local_shards.device_block", lambda *_: next(chosen))
    auto = replace(config("8"), fleet=FleetConfig(block="auto", shards=2))
    for _ in range(2):
        (tmp_path / "run" / "summary.json").unlink(missing_ok=True)
        with Runner() as runner:
            runner.run(auto, tmp_path / "run")
        stored = json.loads((tmp_path / "run" / "config.json").read_text())
        assert stored["fleet"]["block"] == 16
    assert read_selection_file(tmp_path / "run" / SELECTION.format(0)).made["block"] == 16
    assert next(chosen) == 32  # the resumed run asked no device
