"""Sweeps on Ray: what they give, what they don't repeat, and what is left when something goes wrong."""

import json
import math
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from negsift.deploy.main import main
from negsift.deploy.recipes import digits
from negsift.deploy.run import Runner
from negsift.deploy.sweep.grid import expand, parse_axes
from negsift.deploy.sweep.trial import TrialSpec
from tests.cluster.processes import having, left_behind, marked
from tests.cluster.serving import LIMIT_S, await_line, eventually, outside, program

SHORT = ["training.epochs=2", "data.bag_size=2"]
OVER = ["--over", "strategy.name=random,entropy", "--over", "data.target=8"]
FILES = {"sweep.json", "results.parquet", "summary.json", "report.html", "suspects.csv"}
RESULT = ("val", "test", "last", "bags", "best_epoch", "epochs_run")


def sweep(out: Path, *words: str) -> int:
    return main(["sweep", "digits", *SHORT, *words, "--out", str(out)])


def trials(seeds: int, *axes: str) -> list[TrialSpec]:
    base = digits()
    short = replace(base, training=replace(base.training, epochs=2), data=replace(base.data, bag_size=2))
    return expand(short, [parse_axes(axes or ("strategy.name=random,entropy", "data.target=8"))], seeds)


def results(out: Path) -> dict[str, dict[str, Any]]:
    """What each trial gave, by name."""
    summaries = {path.parent.name: json.loads(path.read_text()) for path in out.glob("*/summary.json")}
    return {name: {key: summary[key] for key in RESULT} for name, summary in summaries.items()}


def written(out: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/summary.json")}


@pytest.fixture(scope="module")
def swept(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that was killed after its second trial and has gone on to its end."""
    out = tmp_path_factory.mktemp("sweeps") / "two"
    with marked() as word:
        running = started(out, *OVER, "--seeds", "2")
        await_line(running, "[2/4]")
        kill(word, running)
    before = written(out)
    assert 2 <= len(before) < 4
    assert sweep(out, *OVER, "--seeds", "2") == 0
    after = written(out)
    assert {name: after[name] for name in before} == before
    return out


def test_trials_of_a_killed_sweep_give_what_their_runs_give_alone(swept: Path, tmp_path: Path) -> None:
    with Runner() as runner:
        for trial in trials(2):
            runner.run(trial.config, tmp_path / trial.name)
    assert results(tmp_path) == results(swept)
    for path in tmp_path.glob("*/selections/*.parquet"):
        alone, beside = (pq.read_table(file).to_pydict() for file in (path, swept / path.relative_to(tmp_path)))
        np.testing.assert_equal(alone, beside)
    assert {path.name for path in swept.iterdir() if path.is_file()} == FILES


def test_a_sweep_that_grows_runs_only_what_is_new(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = written(swept)
    assert sweep(swept, *OVER, "--seeds", "3") == 0
    after = written(swept)
    assert {name: after[name] for name in before} == before
    assert set(after) == {trial.name for trial in trials(3)}
    assert "6 trials" in (shown := capsys.readouterr().out)
    assert len(re.findall(r"^\[\d/2\]", shown, re.MULTILINE)) == 2


def test_a_sweep_that_is_finished_runs_nothing(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = written(swept)
    assert sweep(swept, *OVER, "--seeds", "2") == 0
    assert written(swept) == before
    assert "4 ended, 0 to run" in capsys.readouterr().out


def test_a_trial_that_fails_is_listed_and_the_others_go_on(
    local_ray: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(tmp_path, "--over", "sampling.ratio=1,900", "--over", "data.target=8") == 1
    told = capsys.readouterr()
    assert len(results(tmp_path)) == 1
    assert re.search(r"random-8-seed0-\w+ failed: .*no negative left by sampling.ratio=900", told.out)
    assert "1 trial of 2 failed" in told.err


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], check=False, capture_output=True).returncode:
        pytest.skip("mounting needs more rights")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize(disk: Path, kib: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kib}k", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(("kib", "told"), [(400, "No space left on device"), (8, "nothing could be written")])
def test_a_full_disk_fails_trials_in_one_line_and_with_room_the_same_command_ends_them(
    local_ray: None, disk: Path, kib: int, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    resize(disk, kib)
    assert sweep(disk / "out", *OVER) == 1
    said = capfd.readouterr()
    assert len(re.findall(f"^.* failed: .*{told}.*$", said.out, re.MULTILINE)) >= 1
    assert re.fullmatch(r"negsift: \d trials? of 2 failed; .*\n", said.err)
    resize(disk, 1 << 16)
    assert sweep(disk / "out", *OVER) == 0
    assert len(results(disk / "out")) == 2


@pytest.mark.slow
def test_scorers_on_ray_are_shared_by_the_trials_of_a_pool(swept: Path, tmp_path: Path) -> None:
    words = ["fleet.kind=ray", "fleet.shards=2", "fleet.cpus_per_shard=0.1", *OVER]
    assert sweep(tmp_path, *words) == 0
    assert results(tmp_path) == {name: result for name, result in results(swept).items() if "seed0" in name}


@pytest.mark.slow
def test_hopeless_trials_are_stopped_early_and_marked(
    local_ray: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["training.epochs=9", "--over", "training.lr=0.001,0.0000001,0.0000002,0.0000003", "--asha"]
    assert sweep(tmp_path, *words, "--parallel", "1") == 0
    stopped = {path.parent.name for path in tmp_path.glob("*/stopped.json")}
    assert stopped
    assert len(stopped) + len(results(tmp_path)) == 4
    assert capsys.readouterr().out.count("stopped early") >= len(stopped)
    before = written(tmp_path)
    assert sweep(tmp_path, *words, "--parallel", "1") == 0  # which doesn't run them again
    assert written(tmp_path) == before


def alone() -> dict[str, str]:
    """The environment of a program that starts a Ray of its own."""
    return {key: value for key, value in outside().items() if key != "RAY_ADDRESS"}


def started(out: Path, *words: str) -> subprocess.Popen[str]:
    arguments = ["sweep", "digits", *SHORT, *words, "--parallel", "1", "--out", str(out)]
    return program("-m", "negsift", *arguments, env=alone(), stderr=subprocess.STDOUT)


def kill(word: str, running: subprocess.Popen[str]) -> None:
    """Kill the program and everything that it has started."""
    for process in having(word):
        process.kill()
    running.communicate(timeout=LIMIT_S)
    assert left_behind(word) == []


@pytest.mark.slow
def test_ctrl_c_keeps_the_finished_trials(tmp_path: Path) -> None:
    with marked() as word:
        running = started(tmp_path, *OVER, "--seeds", "9")
        await_line(running, "[1/18]")
        running.send_signal(signal.SIGINT)
        told, _ = running.communicate(timeout=LIMIT_S)
        assert running.returncode == 130
        assert re.search(r"interrupted; \d+ of 18 trials are finished in .*; the same command goes on", told)
        assert left_behind(word) == []


def private_kib(pid: int, file: str) -> float:
    """KiB of a mapped file that a process has to itself, by /proc; NaN if it doesn't map the file, or has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps").read_text()
    except OSError:
        return math.nan
    parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.MULTILINE)
    sizes = [re.findall(r"^Private_Dirty: +(\d+) kB", part, re.MULTILINE) for part in parts if file in part]
    return sum(float(size) for one in sizes for size in one) if sizes else math.nan


@pytest.mark.slow
def test_trials_side_by_side_hold_the_decoded_pool_once(local_ray: None, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(120):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    words = [
        f"data.root={tmp_path / 'data'}",
        "data.image_size=64",
        "data.bag_size=2",
        "sampling.ratio=9",
        "training.epochs=900",
        "training.patience=900",
    ]
    with marked() as word:
        arguments = ["images", *words, "--seeds", "4", "--cpus", "0.25", "--out", str(tmp_path / "out")]
        running = program("-m", "negsift", "sweep", *arguments, env=alone(), stderr=subprocess.STDOUT)
        try:
            assert eventually(lambda: len(holding(word)) >= 4)
            held = holding(word)
        finally:
            kill(word, running)
    assert held == [0.0] * len(held)


def holding(word: str) -> list[float]:
    """What the trials that map the decoded images have of them for themselves, in KiB."""
    return [kib for process in having(word) if not math.isnan(kib := private_kib(process.pid, "/images.npy"))]
