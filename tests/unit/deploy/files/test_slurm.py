"""deploy/slurm: the script is read by bash, and starts what Ray and negsift understand."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from ray.scripts.scripts import start
from ray.scripts.symmetric_run import curate_and_validate_ray_start_args, symmetric_run

from tests.unit.deploy.files.checkout import ROOT, SBATCH, commands
from tests.unit.test_docs import require_command


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words after `srun` in a job of two nodes, where `srun` only writes them down."""
    folder = tmp_path_factory.mktemp("job")
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").touch()
    script(folder / "srun", 'printf "%s\\n" "$@" > words; env > environment')
    script(folder / "hostname", "echo 192.0.2.7 198.51.100.7")
    variables = {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "32"}
    asked = ["train", "digits", "training.workers=2", "--out"]
    subprocess.run(["bash", SBATCH, *asked, "/shared/a run"], cwd=folder, env=variables, check=True)
    assert "RAY_AUTH_MODE=token" in (folder / "environment").read_text().splitlines()
    assert re.search(r"^RAY_AUTH_TOKEN=[0-9a-f]{64}$", (folder / "environment").read_text(), re.MULTILINE)
    return (folder / "words").read_text().splitlines()


def script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o700)


def test_bash_reads_it() -> None:
    subprocess.run(["bash", "-n", SBATCH], check=True)


def test_options_of_symmetric_run_and_of_ray_start_exist(started: list[str]) -> None:
    words = started[started.index("symmetric-run") + 1 : started.index("--")]
    context = symmetric_run.make_context("symmetric-run", list(words))
    assert context.params["address"] == "192.0.2.7:6379"
    assert context.params["min_nodes"] == 2
    start.make_context("start", curate_and_validate_ray_start_args(list(words)))


def test_negsift_joins_that_cluster_with_the_words_given(started: list[str]) -> None:
    env, address, *words = started[started.index("--") + 1 :]
    assert (env, address) == ("env", "RAY_ADDRESS=192.0.2.7:6379")
    assert words[-1] == "/shared/a run"
    require_command(words)


def test_slurm_reads_its_lines_before_the_first_command() -> None:
    """It stops at the first line that is neither blank nor a comment."""
    lines = SBATCH.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    directives = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert max(directives) < first
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", lines[number]) for number in directives)


def test_its_command_is_understood() -> None:
    [command] = commands(SBATCH)
    _, file, *words = command.split()
    assert ROOT / file == SBATCH
    require_command(["negsift", *words])
