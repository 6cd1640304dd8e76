"""What Prometheus sees: series while a task or a run lasts, with few labels; names of tasks that do not grow."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import ray

from negsift.common.data.bagset import BagSet
from negsift.common.models.bag import BagClassifier
from negsift.deploy.recipes import digits
from negsift.deploy.run import Runner
from negsift.service import NegativeSampler
from negsift.service.cluster.programs import ended_programs, own_program, program_of
from negsift.service.cluster.scorer_factory import ScorerFactory
from negsift.service.cluster.scorer_group import ScorerGroup
from negsift.service.cluster.scorer_watch import watch_scorers
from negsift.service.config import FleetConfig
from negsift.service.monitoring.catalogue import METRICS
from negsift.service.monitoring.metrics import ServiceMetrics
from tests.cluster.metrics_port import exported, series, task_names
from tests.cluster.processes import Asking
from tests.cluster.serving import LIMIT_S, eventually
from tests.unit.service.monitoring.gauges import Noted

pytestmark = pytest.mark.usefixtures("local_ray")
OWN = {label for metric in METRICS.values() for label in metric.labels}
OF_NODE = {
    "Component", "NodeAddress", "SessionName", "Version", "WorkerId", "otel_scope_name", "otel_scope_schema_url",
    "otel_scope_version",
}  # fmt: skip
"""The labels that Ray adds."""


@dataclass
class Scrape:
    """A logger that reads the metrics port after each epoch, until it shows that epoch."""

    run: str
    seen: list[dict[str, float]] = field(default_factory=list)

    def open(self) -> None:
        self._see(0)

    def log(self, values: Mapping[str, float], step: int) -> None:
        if "loss" in values:
            self._see(step + 1)

    def close(self) -> None:
        """Nothing is open."""

    def _see(self, epochs: int) -> None:
        eventually(lambda: exported(run=self.run).get("run_epochs_total") == epochs)
        self.seen.append(exported(run=self.run))


def test_a_run_is_exported_from_its_beginning_by_a_process_on_ray(tmp_path: Path) -> None:
    config, scrape = digits(), Scrape("watched-run")
    config = replace(config, training=replace(config.training, epochs=2), fleet=FleetConfig(kind="local"))
    with Runner() as runner:
        summary = runner.run(config, tmp_path / scrape.run, (scrape,))
    first, _, last = scrape.seen
    assert (first["run_epochs_total"], first["run_stage_seconds_total"]) == (0, 0)
    assert last["run_epochs_total"] == 2
    assert last["run_stage_seconds_total"] == pytest.approx(summary["seconds"]["total"])
    assert 0 < last["run_select_ratio"] < 1
    of_runs = {name.removeprefix("negsift_") for name, metric in METRICS.items() if "run" in metric.labels}
    assert of_runs - last.keys() == {"run_gpu_memory_bytes"}  # there is no GPU


def test_rounds_add_no_series_and_no_names_of_tasks(bags: tuple[BagSet, BagSet], model: BagClassifier) -> None:
    options = FleetConfig(kind="ray", shards=2, cpus_per_shard=0.25)
    with NegativeSampler(bags[0], model, strategy="badge", k=5, options=options) as sampler:
        sampler.select(model.state_dict(), 0)
        before, names = after(1, sampler), task_names()
        for epoch in (1, 2, 7):
            sampler.select(model.state_dict(), epoch)
        assert after(4, sampler) == before
        assert task_names() == names
    calls = {name for name in names if not name.endswith("__init__")}  # an actor's first task has the actor's name
    assert {"coordinator.select", "scorer.QueryPoints"} <= calls
    assert not any(re.search("[0-9=]", name) for name in calls)


@pytest.mark.slow
def test_a_sibling_that_is_closed_takes_its_series_with_it(bags: tuple[BagSet, BagSet], model: BagClassifier) -> None:
    options = FleetConfig(kind="ray", shards=1, cpus_per_shard=0.25)
    with NegativeSampler(bags[0], model, strategy="badge", k=5, options=options) as sampler:
        with sampler.sibling("entropy", k=5) as other:
            for each in (sampler, other):
                each.select(model.state_dict(), 0)
            assert eventually(lambda: exported(task="entropy-seed0", service=tag(sampler)).get("rounds_total") == 1)
        assert eventually(lambda: not exported(task="entropy-seed0", service=tag(sampler)))
        of_sampler = exported(service=tag(sampler))
        assert (of_sampler["rounds_total"], of_sampler["tasks_lost_total"]) == (1, 0)


def tag(sampler: NegativeSampler) -> str:
    """What metrics call the service of a sampler on Ray."""
    name: str = sampler._service.group.factory.tag  # type: ignore[attr-defined]  # a RayService
    return name


def after(rounds: int, sampler: NegativeSampler) -> set[str]:
    """The names and labels of a sampler's series after so many rounds, and after its scorers' next export."""
    of_service = {name.removeprefix("negsift_") for name, metric in METRICS.items() if "service" in metric.labels}
    whole = of_service - {"staleness_limit_epochs", "shard_gpu_memory_bytes"}  # there is neither
    assert eventually(
        lambda: (
            exported(service=tag(sampler)).get("rounds_total") == rounds
            and whole <= exported(service=tag(sampler)).keys()
        )
    )
    of_sampler = [(name, labels) for name, labels, _ in series("ray_negsift_") if labels.get("service") == tag(sampler)]
    assert {key for _, labels in of_sampler for key in labels} <= OWN | OF_NODE
    return {f"{name} {sorted(labels.items())}" for name, labels in of_sampler}


def test_a_program_that_was_killed_is_known_to_have_ended() -> None:
    asking = ray.remote(Asking).options(num_cpus=0).remote()
    program, own = ray.get(asking.program.remote()), program_of(ray.put(None))
    assert own == own_program() != program
    assert ended_programs([own, program]) == set()
    ray.kill(asking)
    assert eventually(lambda: ended_programs([own, program]) == {program})


def test_a_scorer_without_a_process_is_shown_as_down_until_it_is_back() -> None:
    noted, group = Noted(), ScorerGroup.start(ScorerFactory((0.25, 0.0), "seen"), 2)
    try:
        group.await_start(LIMIT_S)
        watch_scorers(noted.exporter, ServiceMetrics("birds", noted.exporter, ended_programs), group)
        assert noted.total("shard_up", service="birds") == 2
        ray.kill(group.scorers[1], no_restart=False)
        assert eventually(lambda: noted.total("shard_up", shard="scorer-1") == 0)
        assert noted.total("shard_up", shard="scorer-0") == 1
        assert eventually(lambda: noted.total("shard_up", shard="scorer-1") == 1)
    finally:
        group.kill()
