"""The commands of docs/cluster.md in their order, on two nodes: a sweep and runs, of which nothing is left but results."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from negsift.deploy.main import main
from tests.cluster.processes import having, left_behind, marked
from tests.cluster.runbook import COMMANDS, Runbook
from tests.cluster.serving import eventually
from tests.cluster.started import Head, plain_environment, ray_environment, started_head, started_node
from tests.cluster.test_job import await_epochs, job_in
from tests.unit.tables import as_table, random_bags, third_positive, write

SHORT = ["training.epochs=60", "training.batch=2", "fleet.shards=4", "fleet.cpus_per_shard=0.75"]
PLANS = [command for command in COMMANDS if "plan" in command]
ROOT = Path(__file__).parents[2]


def workers(word: str) -> list[str]:
    """Processes with that word which work for a job or a program; one actor of Ray's, for all of them, stays."""
    of_somebody = re.compile(r"ray::(?!IDLE|_AutoscalingCoordinator)|-m negsift")
    return [line for line in map(command_line, having(word)) if of_somebody.search(line)]


def command_line(process: Any) -> str:  # Any: psutil's
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def summary(folder: Path) -> dict[str, Any]:  # Any: JSON
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has the environment of somebody's shell."""
    for name in set(os.environ) - set(plain_environment()):
        monkeypatch.delenv(name)


@pytest.mark.slow
@pytest.mark.usefixtures("shell")
def test_the_runbooks_commands_run_on_two_nodes_and_leave_no_process(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    book, logs = Runbook(), tmp_path_factory.mktemp("r")
    sizes_are_planned(book, tmp_path / "pool", capsys)
    with marked() as word:
        with started_head(logs, 2, book.take("ray start --head")) as head:
            monkeypatch.setenv("RAY_API_SERVER_ADDRESS", head.dashboard)
            joining = book.take("ray start --address=", **{"HEAD:6379": head.address})
            with started_node(tmp_path_factory.mktemp("n"), 2, joining):
                run_is_stopped_and_resumed(book, head, tmp_path / "run", capsys)
                sweep_gives_its_table(book, tmp_path / "sweep", capsys)
                assert main(book.take("negsift jobs list")[1:]) == 0
                listed = capsys.readouterr().out.splitlines()[1:]
                assert [line.split()[1] for line in listed] == ["succeeded", "succeeded", "stopped"]
                others_give_results(book, head, tmp_path)
                assert eventually(lambda: not workers(word)), workers(word)
        assert left_behind(word) == []
    assert not book.left
    told = [file for file in logs.glob("session_2*/logs/*.err") if "constructor arguments" in file.read_text()]
    assert not told  # Ray's error about actors that it can't restart


def sizes_are_planned(book: Runbook, pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(pool, as_table(random_bags(150, seed=2), third_positive(150)))
    for command in PLANS:
        assert main(book.take(command, POOL=str(pool))[1:]) == 0
        assert re.search(r"^round +[\d.,]+ \w+ ", capsys.readouterr().out, re.MULTILINE)


def run_is_stopped_and_resumed(book: Runbook, head: Head, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = book.take("negsift submit digits", FOLDER=str(out), **{"http://HEAD:8265": head.dashboard})[1:] + SHORT
    assert main([*words, "--detach"]) == 0
    job = job_in(capsys.readouterr().out)
    await_epochs(out, 1, head.dashboard)
    assert main(book.take("negsift jobs stop", JOB=job)[1:]) == 0
    assert main(["jobs", "logs", job]) == 1
    assert re.search(r"\d+ epochs? (is|are) saved in .*; the same command resumes the run", capsys.readouterr().out)
    assert main(words) == 0
    log = capsys.readouterr().out
    assert "resuming after epoch" in log
    assert "4 Ray scorers of 256 bags, 0.75 CPU, no GPU each" in log  # more than one node has room for
    assert (summary(out)["strategy"], summary(out)["recipe"]) == ("badge", "digits")


def sweep_gives_its_table(book: Runbook, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = book.take("negsift submit sweep", FOLDER=str(out))[1:]
    assert main([*words, "--seeds", "2", "training.epochs=2"]) == 0
    assert "| `badge` |" in capsys.readouterr().out
    assert {summary(path.parent)["epochs_run"] for path in out.glob("*/summary.json")} == {2}
    assert len(list(out.glob("*/summary.json"))) == 4


def others_give_results(book: Runbook, head: Head, folder: Path) -> None:
    """Ray's own command, and a program with two trainer workers that joins the cluster."""
    ray = book.take("ray job submit", FOLDER=str(folder / "ray"))
    run([*ray, "training.epochs=2", "fleet.shards=1"], ray_environment() | {"RAY_API_SERVER_ADDRESS": head.dashboard})
    assert summary(folder / "ray")["epochs_run"] == 2
    train = book.take("negsift train", FOLDER=str(folder / "workers"))
    program = ["python", "-m", *train, "training.epochs=2", "fleet.shards=2"]
    run(program, ray_environment() | {"RAY_ADDRESS": head.address})
    assert (summary(folder / "workers")["epochs_run"], summary(folder / "workers")["workers"]) == (2, 2)


def run(words: list[str], environment: dict[str, str]) -> None:
    """Run a command from the checkout to its good end."""
    answer = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
