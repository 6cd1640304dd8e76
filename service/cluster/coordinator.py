"""The coordinator of one sampler, as an actor. It imports no torch, which takes seconds, so it is soon there again."""

import os

import ray
from ray.exceptions import RayError

from negsift.common.errors import NegsiftError
from negsift.common.types import Round, Selection
from negsift.service.cluster.actor_records import own_incarnation
from negsift.service.cluster.fleet import RayFleet
from negsift.service.cluster.kv_store import KvStore
from negsift.service.cluster.programs import ended_programs, program_of
from negsift.service.cluster.references import WeightsRef
from negsift.service.cluster.scorer_factory import ScorerFactory
from negsift.service.cluster.scorer_group import ScorerGroup
from negsift.service.cluster.scorer_watch import watch_scorers
from negsift.service.fleet.failover import Limits
from negsift.service.fleet.recovery_ledger import RecoveryLedger
from negsift.service.monitoring.metrics import ServiceMetrics, strategy_name
from negsift.service.monitoring.ray_gauges import ray_exporter
from negsift.service.monitoring.round_stats import Lags, RoundStats
from negsift.service.points.shared_points import GatherLimits
from negsift.service.selection.coordinator import select
from negsift.service.selection.task import Task


def task_name(task: Task) -> str:
    """What metrics call a task."""
    return f"{strategy_name(task.strategy)}-seed{task.seed}"


class CoordinatorActor:
    """The coordinator in a process of its own. It keeps nothing of a round, so Ray may restart it and repeat one."""

    def __init__(
        self, factory: ScorerFactory, shards: int, limits: Limits, gather: GatherLimits, shares_instances: bool
    ) -> None:
        self._group, self._limits, self._gather = ScorerGroup.find(factory, shards), limits, gather
        self._ledger = RecoveryLedger(KvStore.for_recovery(factory.tag))
        self._incarnation = own_incarnation()
        self._shares_instances = shares_instances
        exporter = ray_exporter()
        self._metrics, self._stats = ServiceMetrics(factory.tag, exporter, ended_programs), dict[str, RoundStats]()
        watch_scorers(exporter, self._metrics, self._group)

    def __repr__(self) -> str:
        return "coordinator"

    def status(self) -> dict[str, object]:
        """Its name and process."""
        return {"name": repr(self), "pid": os.getpid()}

    def select(self, task: Task, round: Round, weights: WeightsRef) -> Selection:
        """Run one round."""
        self._ledger.begin(str(ray.get_runtime_context().get_task_id()))  # the same if Ray repeats the call
        self._ledger.meet(self._incarnation, "coordinator")
        name, program = task_name(task), program_of(weights.reference[0])
        with self._metrics.under_way(name, task.strategy, task.policy.staleness, program):
            try:
                selection = self._run(task, round, weights)
            except (NegsiftError, RayError) as error:
                self._metrics.failed(name, error)
                raise
            stats = self._stats.setdefault(name, RoundStats())
            stats.add(selection, round.epoch, round.pool.bags, Lags())
            self._metrics.round(name, selection, stats)
            return selection

    def leave(self, program: str, task: str | None = None) -> None:
        """A program asks for no more rounds, or for none of one task: a task that no program is left of has ended."""
        self._metrics.leave(program, task)

    def _run(self, task: Task, round: Round, weights: WeightsRef) -> Selection:
        fleet = RayFleet(self._group, self._limits, weights, self._ledger)
        return select(fleet, task, round, self._gather, shares_instances=self._shares_instances)
