"""How many series a service makes for Prometheus: as many as it has tasks and scorers, in whatever way tasks end."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from negsift.service.monitoring.catalogue import METRICS, TASK
from tests.cluster import rounds
from tests.cluster.metrics_port import exported, series, task_names
from tests.cluster.serving import await_line, deploy, eventually, program
from tests.unit.tables import as_table, random_bags, third_positive, write

pytestmark = pytest.mark.usefixtures("local_ray")
ENDED_S = 300.0
"""Series of what has ended go away within this."""


@pytest.fixture
def birds(tmp_path: Path) -> Iterator[None]:
    """A service with two scorers."""
    write(tmp_path / "birds", as_table(random_bags(150, seed=2), third_positive(150)))
    small = ["--set", "cpus_per_shard=0.25", "--set", "block=8"]
    assert deploy("serve", "up", str(tmp_path / "birds"), "--shards", "2", "--detached", *small)[0] == 0
    yield
    assert deploy("serve", "down")[0] == 0


@pytest.fixture
def programs(birds: None) -> Iterator[list[subprocess.Popen[str]]]:
    """Two programs with four tasks each."""
    running = [program(rounds.__file__, name, stdin=subprocess.PIPE) for name in ("one", "other")]
    yield running
    for each in running:
        each.kill()
        each.communicate()


def run_to(programs: list[subprocess.Popen[str]], epoch: int) -> Counter[str]:
    """How many series of each name there are once all programs have had their rounds up to an epoch."""
    for each in programs:
        assert each.stdin is not None
        each.stdin.write(f"{epoch}\n")
        each.stdin.flush()
    for each in programs:
        await_line(each, f"epoch {epoch}\n")
    assert eventually(lambda: exported(service="birds").get("rounds_total") == 8 * epoch)
    return Counter(name for name, _, _ in series("ray_"))


@pytest.mark.slow
def test_rounds_add_no_series_and_tasks_take_theirs_with_them(programs: list[subprocess.Popen[str]]) -> None:
    few, names = run_to(programs, 5), task_names()
    many = run_to(programs, 200)
    assert own(few) == own(many)
    assert own(many).total() == 8 * 24 + 2 * 5 + 1  # without limits of staleness and without GPUs
    assert many.total() < few.total() + 50  # Ray's own, a few of which come and go
    assert task_names() <= names
    killed, closed = programs
    killed.kill()
    closed.communicate()
    of_tasks = {name.removeprefix("negsift_") for name, metric in METRICS.items() if set(TASK) <= set(metric.labels)}
    assert eventually(lambda: not of_tasks & exported(service="birds").keys(), ENDED_S)
    assert exported(service="birds")["tasks_lost_total"] == len(rounds.STRATEGIES)


def own(counts: Counter[str]) -> Counter[str]:
    """Those of negsift."""
    return Counter({name: count for name, count in counts.items() if name.startswith("negsift_")})
