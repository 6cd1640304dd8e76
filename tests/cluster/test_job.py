"""Programs on a cluster of its own, started as a person would, whose nodes lack negsift: the recipe as a Ray job, which
brings its checkout, and a loop that joins by address, which brings the package, or connects by itself, which doesn't.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

from negsift.deploy.main import main
from tests.cluster.serving import await_line

ROOT = Path(__file__).parents[2]
TRIES = 20
RAY = str(Path(sys.executable).with_name("ray"))
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
OUTSIDE = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "PYTHONPATH"))} | {
    "RAY_AUTH_TOKEN": os.environ["RAY_AUTH_TOKEN"], "RAY_worker_niceness": "0",
}  # fmt: skip
TOLD = OUTSIDE | {"RAY_AUTH_MODE": "token"}
"""What Ray's own programs need to be told."""


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """So many that nobody holds, of those that neither the system nor Ray hands out to others meanwhile."""
    return list(islice(filter(is_free, SystemRandom().sample(range(20_000, 32_000), 1000)), count))


@dataclass(frozen=True)
class Head:
    """Where a cluster takes jobs, and where programs join it."""

    dashboard: str
    address: str


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A cluster started as a person would."""
    (port, gcs, agent, metrics, client), folder = free_ports(5), tmp_path_factory.mktemp("r")
    started = subprocess.Popen(
        [
            RAY, "start", "--head", "--block", f"--port={gcs}", "--dashboard-host=127.0.0.1", "--num-cpus=4",
            f"--dashboard-port={port}", f"--dashboard-agent-listen-port={agent}", f"--temp-dir={folder}",
            f"--metrics-export-port={metrics}", f"--ray-client-server-port={client}", "--disable-usage-stats",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=TOLD, cwd=folder,
    )  # fmt: skip
    await_line(started, "Next steps")
    yield Head(f"http://127.0.0.1:{port}", f"127.0.0.1:{gcs}")
    started.terminate()
    started.communicate()


def results(folder: Path) -> dict[str, Any]:
    summary = json.loads((folder / "summary.json").read_text())
    return {key: summary[key] for key in ("epochs_run", "best_epoch", "val", "test", "last", "bags")}


def test_a_job_ends_with_the_metrics_of_the_local_run(head: Head, tmp_path: Path) -> None:
    job = [sys.executable, *TRAIN, "--out", str(tmp_path / "job")]
    submit = [RAY, "job", "submit", "--address", head.dashboard, "--working-dir", ".", "--", *job]
    for _ in range(TRIES):  # a head answers a moment before it can take jobs
        answer = subprocess.run(submit, cwd=ROOT, capture_output=True, text=True, env=TOLD, check=False)
        if "No available agent" not in answer.stdout + answer.stderr:
            break
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Ray scorers" in answer.stdout
    assert main([*TRAIN[2:], "--set", "fleet.kind=local", "--out", str(tmp_path / "local")]) == 0
    assert results(tmp_path / "job") == results(tmp_path / "local")


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
        words, cwd=folder, capture_output=True, text=True, env=(TOLD if alone else OUTSIDE) | own, check=False
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
