"""Programs on the tests' Ray, as users run them, and the table they share."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group

ROOT = Path(__file__).parents[2]
LIMIT_S = 120.0


def outside() -> dict[str, str]:
    """The environment of another program on the same cluster."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    address = ray.get_runtime_context().gcs_address
    ours = {"RAY_ADDRESS": address, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    return plain | ours | {"RAY_AUTH_TOKEN": os.environ["RAY_AUTH_TOKEN"]}


def program(*words: str, **more: Any) -> subprocess.Popen[str]:  # Any: Popen's
    """A Python program, running."""
    usual: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "cwd": ROOT,
        "env": outside(),
    }
    return subprocess.Popen([sys.executable, *words], **usual | more)


def deploy(*words: str) -> tuple[int, str, str]:
    """`python -m deploy` with these words: its exit code and what it said on either stream."""
    running = program("-m", "deploy", *words)
    out, err = running.communicate(timeout=LIMIT_S)
    return running.returncode, out, err


def await_line(running: subprocess.Popen[str], text: str) -> str:
    """What a program says until a line with `text`; an error if it ends before."""
    assert running.stdout is not None
    said = ""
    for line in running.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"{said}\n{running.stderr.read() if running.stderr else ''}")


def actors() -> set[str]:
    """The names of all named actors."""
    return {each["name"] for each in ray.util.list_named_actors(all_namespaces=True)}


def eventually(claim: Callable[[], bool], limit_s: float = LIMIT_S) -> bool:
    """Whether the claim comes true in time."""
    pause, until = threading.Event(), time.monotonic() + limit_s
    while not claim():
        if time.monotonic() > until:
            return False
        pause.wait(0.1)
    return True


@contextmanager
def all_cpus_taken() -> Iterator[None]:
    """Within it, no CPU of the cluster is free."""
    group = placement_group([{"CPU": ray.cluster_resources()["CPU"]}])  # type: ignore[no-untyped-call]  # Ray's
    try:
        assert group.wait(LIMIT_S)
        yield
    finally:
        remove_placement_group(group)
