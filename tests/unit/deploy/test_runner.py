"""What a runner shares between runs, and what it lets go."""

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path

from negsift.deploy.recipes import RunConfig, digits
from negsift.deploy.run import Runner


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
