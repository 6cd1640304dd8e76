"""Clusters started as a person would, by `ray start`, whose nodes lack negsift and demand a token."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import SystemRandom

from tests.cluster.serving import await_line

BIN = Path(sys.executable).parent
RAY = str(BIN / "ray")


def plain_environment() -> dict[str, str]:
    """The environment of a shell that knows the token, and nothing else of Ray."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "PYTHONPATH"))}
    return kept | {"RAY_AUTH_TOKEN": os.environ["RAY_AUTH_TOKEN"], "RAY_worker_niceness": "0"}


def ray_environment() -> dict[str, str]:
    """The same with what Ray's own programs need to be told; nodes start no workers before they are needed."""
    told = {"RAY_AUTH_MODE": "token", "RAY_raylet_start_wait_time_s": "120"}
    late = {"RAY_enable_worker_prestart": "0", "RAY_prestart_worker_first_driver": "0"}
    return plain_environment() | told | late | {"PATH": f"{BIN}:{os.environ['PATH']}"}


@dataclass(frozen=True)
class Head:
    """Where a cluster takes jobs, and where programs and nodes join it."""

    dashboard: str
    address: str


@contextmanager
def started_head(folder: Path, cpus: int, words: Sequence[str] = ("ray", "start", "--head")) -> Iterator[Head]:
    """The head of a cluster, by these words; its files are in `folder`."""
    port, gcs, agent, metrics, client = _free_ports(5)
    more = [
        f"--port={gcs}", "--dashboard-host=127.0.0.1", f"--dashboard-port={port}", f"--temp-dir={folder}",
        f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}",
        f"--ray-client-server-port={client}", "--disable-usage-stats",
    ]  # fmt: skip
    with _node(folder, cpus, [*words, *more], "Next steps"):
        yield Head(f"http://127.0.0.1:{port}", f"127.0.0.1:{gcs}")


@contextmanager
def started_node(folder: Path, cpus: int, words: Sequence[str]) -> Iterator[None]:
    """Another node on this machine, by these words; its files are in `folder`, apart from those of other nodes."""
    agent, metrics = _free_ports(2)
    more = [
        f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}", f"--temp-dir={folder}",
        "--disable-usage-stats",
    ]  # fmt: skip
    with _node(folder, cpus, [*words, *more], "Ray runtime started"):
        yield


@contextmanager
def _node(folder: Path, cpus: int, words: Sequence[str], line: str) -> Iterator[None]:
    started = subprocess.Popen(
        [str(BIN / words[0]), *words[1:], f"--num-cpus={cpus}", "--block"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ray_environment(), cwd=folder,
    )  # fmt: skip
    try:
        await_line(started, line)
        yield
    finally:
        started.terminate()
        started.communicate()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def _free_ports(count: int) -> list[int]:
    """So many that nobody holds, of those that neither the system nor Ray hands out to others meanwhile."""
    return list(islice(filter(_is_free, SystemRandom().sample(range(20_000, 32_000), 1000)), count))
