"""The words of a job: those of the command that it runs, with the settings of files in them; and what is listed."""

import argparse
import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from ray.job_submission import JobDetails, JobStatus, JobType

from negsift.common.errors import BadInput
from negsift.deploy import job_commands
from negsift.deploy.commands import parser
from negsift.deploy.jobs import inside
from negsift.deploy.jobs.inside import require_lasting
from negsift.deploy.jobs.listing import describe, table
from negsift.deploy.jobs.submit import require_shared


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of what is submitted, in place of submitting it."""
    found: list[list[str]] = []

    def keep(arguments: argparse.Namespace, words: list[str], facts: dict[str, str]) -> int:
        found.append(words)
        return 0

    monkeypatch.setattr(job_commands, "_submit", keep)
    return found


def run(*words: str) -> None:
    arguments = parser().parse_args(["submit", *words])
    arguments.do(arguments)


def test_a_job_gets_the_settings_of_files_that_the_cluster_lacks(submitted: list[list[str]], tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"training": {"epochs": 3}, "strategy": {"name": "badge"}}))
    run("digits", "--config", str(file), "seed=2", "data.target=3")
    settings = {"seed=2", "data.target=3", "training.epochs=3", "strategy.name=badge"}
    assert (submitted[0][:2], {*submitted[0][2:]}) == (["train", "digits"], settings)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("cifar10", "no data.root"), ("table data.root=/here/or/there", "no data.target"), ("table data.root=/here/or/there data.target=any", ""), ("digits data.density=foo", "label density 'foo'"),
        ("digits data.target=zz", "data.target 'zz'"), ("sweep digits --over data.density=range:5-2", "label density"),
        ("sweep digits --over data.target=1,zz", "data.target 'zz'"), ("sweep images", "no data.root"),
    ],
)  # fmt: skip
def test_what_can_not_run_anywhere_is_not_submitted(submitted: list[list[str]], words: str, found: str) -> None:
    with pytest.raises(BadInput, match=found) if found else nullcontext():
        run(*words.split())
    assert bool(submitted) is not bool(found)


def test_a_job_that_waits_has_a_week_to_start(submitted: list[list[str]]) -> None:
    run("digits", "--wait")
    run("digits")
    assert submitted == [["train", "digits", "fleet.start_s=604800"], ["train", "digits"]]


@pytest.mark.parametrize(
    ("words", "name"),
    [(["digits"], "train digits random"), (["sweep", "digits", "--over", "seed=1,2"], "sweep digits")],
)
def test_a_job_is_called_what_it_does(words: list[str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = MagicMock()
    monkeypatch.setattr("negsift.deploy.jobs.server.job_server", lambda address: nullcontext(asked))
    run(*words, "--out", "/shared/x", "--detach")
    given = asked.submit_job.call_args.kwargs
    assert given["metadata"]["job_name"] == name  # which Ray's dashboard shows
    assert re.fullmatch(f"negsift-{name.replace(' ', '-')}-[0-9a-f]{{8}}", given["submission_id"])


def test_a_sweep_keeps_its_axes_and_options(submitted: list[list[str]]) -> None:
    run("sweep", "digits", "--over", "strategy.name=random,full", "--seeds", "3", "--cpus", "0.5", "--asha")
    words = submitted[0]
    assert words[:2] == ["sweep", "digits"]
    assert {"--over=strategy.name=random,full", "--seeds=3", "--cpus=0.5", "--asha"} <= set(words)
    parser().parse_args(words)  # the command takes them


@pytest.mark.parametrize(
    "words", [["digits", "seed=x"], ["digits", "data.root=x"], ["nothing"], ["sweep", "digits", "seed=1"]]
)
def test_what_the_command_would_refuse_is_never_submitted(words: list[str], submitted: list[list[str]]) -> None:
    with pytest.raises(BadInput):
        run(*words)
    assert not submitted


@pytest.mark.parametrize(
    ("out", "found"), [(None, "no --out"), (Path("runs/x"), "--out runs/x; expected an absolute path")]
)
def test_a_job_needs_a_folder_that_outlives_it(out: Path | None, found: str) -> None:
    with pytest.raises(BadInput, match=found):
        require_shared(out)


@pytest.mark.parametrize("out", [None, Path("/tmp/ray/session_1/runtime_resources/working_dir_files/a/runs")])
def test_a_jobs_own_folder_is_refused_in_the_job(out: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    require_lasting(out)  # elsewhere it is anybody's choice
    monkeypatch.setattr(inside, "is_job", lambda: True)
    with pytest.raises(BadInput, match=r"expected an absolute path on a disk that all nodes see"):
        require_lasting(out)


def job(name: str, start: int, **more: Any) -> JobDetails:  # Any: as of JobDetails
    facts = {"recipe": "digits", "strategy": "badge", "target": "8", "git": "abc"}
    return JobDetails(
        type=JobType.SUBMISSION, submission_id=name, status=JobStatus.SUCCEEDED, entrypoint="python -m negsift",
        start_time=start, end_time=start + 2500, metadata=facts, **more,
    )  # fmt: skip


def test_jobs_are_listed_newest_first_and_others_are_left_out() -> None:
    lines = table([job("negsift-a", 1000), job("other", 2000), job("negsift-b", 3000)]).splitlines()
    assert [line.split()[0] for line in lines] == ["job", "negsift-b", "negsift-a"]
    assert lines[1].endswith("2 s   recipe=digits strategy=badge target=8 git=abc")
    assert table([]) == "no jobs of negsift"


def test_a_job_in_full_says_why_it_failed() -> None:
    text = describe(job("negsift-a", 1000, message="Job failed,\n exit code 2", driver_exit_code=2))
    assert "said: Job failed, exit code 2" in text
    assert "exit code: 2" in text
