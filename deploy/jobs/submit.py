"""Submits a command of negsift as a Ray job, which brings this program's own negsift to the cluster."""

import os
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ray.job_submission import JobSubmissionClient

import negsift
from negsift.common.errors import BadInput
from negsift.common.freed_memory import keeping_environment
from negsift.deploy.versions import COMMIT, commit

_LEFT_OUT = ["**/__pycache__/", "**/*.pyc"]


@dataclass(frozen=True)
class Command:
    """A command of negsift: its words, and what the job is listed with."""

    words: Sequence[str]
    facts: Mapping[str, str]


def require_shared(out: Path | None) -> Path:
    """`out`, which a job writes to. Raises BadInput without one, and for one that depends on a current folder."""
    if out is None:
        expected = "a folder on a disk that all nodes and you see"
        raise BadInput("no --out", expected, "give one: a job's own folder goes with the job")
    if not out.is_absolute():
        raise BadInput(f"--out {out}", "an absolute path on a disk that all nodes and you see", "write it in full")
    return out


def submit(client: JobSubmissionClient, command: Command, cpus: float, gpus: float) -> str:
    """Submit the command; gives the job's name. Its own process has so many CPUs and GPUs of a node."""
    facts = {**command.facts, "git": commit()}
    kind = [*command.words[:1], *(facts[key] for key in ("recipe", "strategy") if key in facts)]
    facts["job_name"] = " ".join(kind)  # which Ray's dashboard shows as the job's name
    name = "-".join(["negsift", *kind, secrets.token_hex(4)])
    return str(client.submit_job(
        entrypoint=shlex.join(["python", "-m", "negsift", *command.words]), submission_id=name, metadata=facts,
        runtime_env={
            "py_modules": [os.path.dirname(negsift.__file__)], "excludes": _LEFT_OUT,
            "env_vars": {COMMIT: facts["git"]} | keeping_environment(),
        },
        entrypoint_num_cpus=cpus, entrypoint_num_gpus=gpus,
    ))  # fmt: skip
