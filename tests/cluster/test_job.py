"""Programs on a cluster of its own, started as a person would, whose nodes lack negsift: the recipe as a Ray job, which
brings its checkout, and a loop that joins by address, which brings the package, or connects by itself, which doesn't.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from negsift.deploy.jobs.follow import follow
from negsift.deploy.jobs.server import job_server
from negsift.deploy.jobs.submit import Command, submit
from negsift.deploy.main import main
from tests.cluster.started import RAY, Head, plain_environment, ray_environment, started_head

ROOT = Path(__file__).parents[2]
TRIES = 20
TRAIN = [
    "-m",
    "deploy",
    "train",
    "digits",
    "--set",
    "strategy.name=entropy",
    "--set",
    "training.epochs=4",
    "--set",
    "fleet.shards=2",
]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A cluster started as a person would."""
    with started_head(tmp_path_factory.mktemp("r"), 2) as head:
        yield head


def results(folder: Path) -> dict[str, Any]:
    summary = json.loads((folder / "summary.json").read_text())
    return {key: summary[key] for key in ("epochs_run", "best_epoch", "val", "test", "last", "bags")}


@pytest.mark.slow  # what `negsift submit` does ends so, too
def test_a_job_ends_with_the_metrics_of_the_local_run(head: Head, tmp_path: Path) -> None:
    job = [sys.executable, *TRAIN, "--out", str(tmp_path / "job")]
    submit = [RAY, "job", "submit", "--address", head.dashboard, "--working-dir", ".", "--", *job]
    for _ in range(TRIES):  # a head answers a moment before it can take jobs
        answer = subprocess.run(submit, cwd=ROOT, capture_output=True, text=True, env=ray_environment(), check=False)
        if "No available agent" not in answer.stdout + answer.stderr:
            break
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Ray scorers" in answer.stdout
    assert main([*TRAIN[2:], "--set", "fleet.kind=local", "--out", str(tmp_path / "local")]) == 0
    assert results(tmp_path / "job") == results(tmp_path / "local")


@pytest.fixture
def on_head(head: Head, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of somebody who submits from a shell of their own; the option that names the head."""
    for name in [key for key in os.environ if key.startswith("RAY_") and key != "RAY_AUTH_TOKEN"]:
        monkeypatch.delenv(name)
    return f"--address={head.dashboard}"


def job_in(text: str) -> str:
    """The name of the job that was submitted."""
    found = re.search(r"^job (\S+);", text, re.MULTILINE)
    assert found, text
    return found[1]


def test_a_submitted_run_is_followed_stopped_and_resumed(
    head: Head, on_head: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_and_resume(tmp_path / "job", on_head, capsys)
    assert main(["jobs", "list", on_head]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[1] for line in listed.splitlines()] == ["state", "succeeded", "stopped"]
    assert "recipe=digits strategy=margin target=8 git=" in listed
    monkeypatch.setenv("RAY_ADDRESS", head.address)  # the cluster's own, which knows its dashboard
    assert main(["jobs", "list"]) == 0
    assert capsys.readouterr().out == listed


def stop_and_resume(out: Path, on_head: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Submit a run, stop it in its midst, follow what it says, and submit it again, to its end."""
    words = ["submit", "digits", "strategy.name=margin", "training.epochs=24", "training.batch=2"]
    words += ["fleet.kind=local"]  # with scorers it is done by tests/cluster/test_runbook.py
    words += ["--out", str(out), on_head]
    assert main([*words, "--detach"]) == 0
    job = job_in(capsys.readouterr().out)
    await_epochs(out, 1, on_head.partition("=")[2])
    assert main(["jobs", "stop", job, on_head]) == 0
    assert main(["jobs", "logs", job, on_head]) == 1
    told = capsys.readouterr()
    assert re.search(r"\d+ epochs? (is|are) saved in .*/job; the same command resumes the run", told.out)
    assert "Traceback" not in told.out
    assert f"job {job} was stopped; submit the same command again" in told.err
    assert main(words) == 0
    assert "resuming after epoch" in capsys.readouterr().out
    assert [json.loads(line)["epoch"] for line in lines(out / "metrics.jsonl")] == list(
        range(results(out)["epochs_run"])
    )


@pytest.mark.slow
def test_a_job_without_a_lasting_folder_is_an_error(on_head: str, capfd: pytest.CaptureFixture[str]) -> None:
    with job_server(on_head.partition("=")[2]) as client:
        job = submit(client, Command(["train", "digits"], {}), 0.0, 0.0)
        assert follow(client, job, "") == 2
    assert "found a job without --out; expected an absolute path on a disk that all nodes see" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("token", "message"), [("", "no token for the job server"), ("x" * 64, "a token that the job server at .* refuses")]
)
def test_a_stranger_is_told_what_is_missing(
    token: str, message: str, on_head: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_TOKEN", token) if token else monkeypatch.delenv("RAY_AUTH_TOKEN")
    assert main(["jobs", "list", on_head]) == 2
    assert re.search(message, capsys.readouterr().err)


def await_epochs(run: Path, count: int, head: str) -> None:
    """Wait until the run of a job has trained so many epochs."""
    with job_server(head) as client:
        while len(lines(run / "metrics.jsonl")) < count:
            ended = [job.message for job in client.list_jobs() if job.end_time and str(run) in job.entrypoint]
            assert not ended, ended[0]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


LOOP = """
import ray
import torch

from negsift import NegativeSampler


class Mean(torch.nn.Linear):
    def forward(self, bags):
        return super().forward(bags).mean(1)


torch.manual_seed(0)
pool, model = [torch.randn(3, 16) for _ in range(50)], Mean(16, 2)
if {alone}:
    ray.init(log_to_driver=False)
for fleet in ("local", "ray"):
    with NegativeSampler(pool, model, strategy="entropy", k=5, shards=1, fleet=fleet) as sampler:
        print(sampler.select(model.state_dict(), 0).index.tolist())
"""


def run_loop(folder: Path, address: str, *, alone: bool) -> subprocess.CompletedProcess[str]:
    """A program that has negsift, in a folder that hasn't."""
    (folder / "loop.py").write_text(LOOP.format(alone=alone))
    own = {"RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "loop.py"]
    return subprocess.run(
        words,
        cwd=folder,
        capture_output=True,
        text=True,
        env=(ray_environment() if alone else plain_environment()) | own,
        check=False,
    )


def test_scorers_get_negsift_from_a_program_that_joins_by_address(head: Head, tmp_path: Path) -> None:
    answer = run_loop(tmp_path, head.address, alone=False)
    assert answer.returncode == 0, answer.stderr
    local, on_ray = answer.stdout.splitlines()
    assert local == on_ray


def test_nodes_without_negsift_are_told_as_such(head: Head, tmp_path: Path) -> None:
    answer = run_loop(tmp_path, head.address, alone=True)
    assert answer.returncode == 1
    told = answer.stderr.splitlines()[-1]
    assert "nodes of the cluster that can't import negsift (No module named 'negsift')" in told
    assert "'py_modules': [negsift]" in told
