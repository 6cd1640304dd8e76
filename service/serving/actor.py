"""A service for one bag table on Ray: a named coordinator that serves many tasks, and the scorers that end with it.

A detached one outlives its starter; a restarted one reads its tasks from Ray's key-value store and makes new scorers.
"""

import asyncio
import logging
import os
import threading
import time
import uuid
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import GetTimeoutError, ObjectLostError, RayActorError, RayTaskError
from ray.util.placement_group import PlacementGroup

from negsift.common.data.table.location import Location
from negsift.common.errors import NegsiftError, ServiceError
from negsift.common.lru_cache import LruCache
from negsift.common.weights import weights_digest
from negsift.service.cluster.actor_records import own_incarnation
from negsift.service.cluster.errors import put
from negsift.service.cluster.fleet import RayFleet
from negsift.service.cluster.kv_store import KvStore
from negsift.service.cluster.programs import ended_programs, program_of
from negsift.service.cluster.references import ScorerStatus, SpecRef, WeightsRef
from negsift.service.cluster.scorer_factory import ScorerFactory
from negsift.service.cluster.scorer_group import ScorerGroup
from negsift.service.cluster.scorer_watch import watch_scorers
from negsift.service.config import FleetConfig
from negsift.service.fleet.recovery_ledger import RecoveryLedger
from negsift.service.monitoring.metrics import ServiceMetrics
from negsift.service.monitoring.ray_gauges import ray_exporter
from negsift.service.monitoring.round_stats import Lags
from negsift.service.scoring.shard_memory import resident_bytes
from negsift.service.selection.coordinator import select
from negsift.service.serving.fair_queue import FairQueue
from negsift.service.serving.protocol import PROTOCOL, RoundSpec, TaskSpec, Wire, answer_of, error_of, parse
from negsift.service.serving.registry import RegisteredTask, TaskRegistry, TaskRound
from negsift.service.serving.shard_specs import ShardSpecs

_SPECS = 16
_STATUS_S = 5.0

WeightsRefs = list[ObjectRef[Any]]  # Any: arrays by name


@dataclass(frozen=True)
class ServiceSpec:
    """A service to start: its name, pool and fleet, each scorer's CPUs and GPUs; `idle_s` of 0 is no limit.

    `group` is the placement group that its scorers are confined to, if any.
    """

    name: str
    pool: str
    config: FleetConfig
    resources: tuple[float, float]
    shards: int
    idle_s: float = 0.0
    group: PlacementGroup | None = None


class ServiceActor:
    """The coordinator of one service. docs/shared-service.md describes what its methods take and give."""

    def __init__(self, spec: ServiceSpec, identity: str) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        self._spec, self._records, self._recovery = spec, KvStore(identity), KvStore.for_recovery(identity)
        self._ledger, self._incarnation = RecoveryLedger(self._recovery), own_incarnation()
        self._specs = ShardSpecs(Location.of(spec.pool), spec.config, spec.shards)
        self._tasks = TaskRegistry(self._specs, self._records)
        factory = ScorerFactory(spec.resources, f"{spec.name}-{uuid.uuid4().hex[:4]}", spec.group, spec.name)
        self._group = ScorerGroup.start(factory, spec.shards)
        cpus, gpus = spec.resources
        self._limits = replace(spec.config.limits, needs=f"{cpus:g} CPU and {gpus:g} GPU")
        exporter = ray_exporter()
        self._queue, self._metrics = FairQueue(), ServiceMetrics(spec.name, exporter, ended_programs)
        watch_scorers(exporter, self._metrics, self._group)
        self._spec_refs = LruCache[str, SpecRef](_SPECS)
        self._shards: dict[int, ScorerStatus] = {}
        self._since, self._busy = time.time(), 0
        self._used = time.monotonic() + spec.config.start_s  # the program that starts it may take so long to ask
        if spec.idle_s:
            threading.Thread(target=self._end_when_idle, name="negsift-idle", daemon=True).start()

    def __repr__(self) -> str:
        return f"service-{self._spec.name}"

    async def ready(self) -> Wire:
        """Wait until every scorer has started."""
        return await self._answer("", asyncio.to_thread(self._start))

    async def register(self, request: Mapping[str, Any]) -> Wire:  # Any: as in Wire
        """Add a task; gives its name, and the pool's size and version."""
        return await self._answer("", asyncio.to_thread(self._register, request))

    async def select(self, request: Mapping[str, Any], weights: Any) -> Wire:  # Any: as in Wire
        """One round of a task; `weights` are arrays by name, or a list with the one reference to them."""
        return await self._answer(str(request.get("task")), self._select(request, weights))

    async def refresh(self, task: str, version: int | None = None) -> Wire:
        """Have a task use another version of the pool, by default the newest."""
        return await self._answer(task, asyncio.to_thread(self._tasks.refresh, task, version))

    async def forget(self, task: str) -> Wire:
        """Remove a task."""
        self._tasks.forget(task)
        if (name := task.partition("#")[0]) not in self._tasks.names:
            self._metrics.end(name)
        return {}

    async def status(self) -> Wire:
        """What the service is, keeps and does."""
        if not self._busy:
            await asyncio.to_thread(self._ask_shards)
        spec, newest, idle_s = self._spec, self._specs.newest, max(0.0, time.monotonic() - self._used)
        return {
            "name": spec.name, "pool": spec.pool, "protocol": PROTOCOL, "pid": os.getpid(), "since": self._since,
            "newest": newest.version, "bags": newest.rows, "targets": list(newest.classes),
            "memory_bytes": resident_bytes(), "idle_s": idle_s, "idle_limit_s": spec.idle_s,
            "running": self._queue.running, "waiting": self._queue.waiting,
            "tasks": [{**task, "lost": task["task"] in self._metrics.lost} for task in self._tasks.status()],
            "shards": [_facts(status) for _, status in sorted(self._shards.items())],
        }  # fmt: skip

    async def ended(self) -> None:
        """Never returns: the call fails when the service ends."""
        await asyncio.Event().wait()

    async def clear(self) -> None:
        """Delete the records of all tasks, before the end."""
        self._clear()

    async def _answer(self, task: str, work: Awaitable[Wire]) -> Wire:
        self._busy += 1
        try:
            return await work
        except NegsiftError as error:
            self._metrics.failed(task.partition("#")[0], error)
            return error_of(error)
        except RayTaskError as error:  # what a model or a pool raises
            self._metrics.failed(task.partition("#")[0], error)
            raise
        finally:
            self._busy -= 1
            self._used = time.monotonic()

    def _start(self) -> Wire:
        self._group.await_start(self._spec.config.start_s)
        self._ask_shards()
        return {}

    def _register(self, request: Mapping[str, Any]) -> Wire:  # Any: as in Wire
        answer = self._tasks.register(parse(TaskSpec, request))
        self._metrics.begin(*_watched(self._tasks.entry(str(answer["task"]).partition("#")[0])))
        return answer

    async def _select(self, request: Mapping[str, Any], weights: Any) -> Wire:  # Any: as in Wire
        came = time.monotonic()
        task_round = self._tasks.round(parse(RoundSpec, request))  # before any await, so in the order of arrival
        program = program_of(weights[0]) if isinstance(weights, list) else None
        call = str(ray.get_runtime_context().get_task_id())  # the same if Ray repeats the call
        with self._metrics.under_way(*_watched(task_round.entry), program):
            async with self._queue.turn(task_round.name):
                self._ledger.begin(call)
                self._ledger.meet(self._incarnation, "coordinator")
                return await asyncio.to_thread(self._run, task_round, weights, came)

    def _run(self, task_round: TaskRound, weights: Any, came: float) -> Wire:  # Any: as in Wire
        begun, entry, round = time.monotonic(), task_round.entry, task_round.round
        references: WeightsRefs = weights if isinstance(weights, list) else [put(weights, "the weights")]
        digest = f"{self._digest(references)}@{round.pool.version}"
        spec = self._spec_refs.get_or_make(
            entry.spec_digest, lambda: SpecRef(entry.spec_digest, [put(self._specs.make(entry.spec), "the pool")])
        )
        weights_ref = WeightsRef(task_round.version, digest, references, spec, round.pool.version)
        fleet = RayFleet(self._group, self._limits, weights_ref, self._ledger)
        lags = Lags(begun - came, time.monotonic() - came)
        selection = select(fleet, entry.task, round, self._spec.config.gather_limits, shares_instances=False)
        entry.stats.add(selection, round.epoch, round.pool.bags, lags)
        self._metrics.round(task_round.name, selection, entry.stats)
        self._ask_shards()
        return answer_of(selection)

    def _digest(self, references: WeightsRefs) -> str:
        try:
            return weights_digest(ray.get(references[0], timeout=self._spec.config.deadline_s))
        except (ObjectLostError, GetTimeoutError) as error:
            raise ServiceError(
                f"weights that can't be had ({type(error).__name__})", "keep the reference until the answer is there"
            ) from error

    def _ask_shards(self) -> None:
        """Note the status of the scorers that answer in time."""
        answers = [scorer.status.remote() for scorer in self._group.scorers]
        ready, _ = ray.wait(answers, num_returns=len(answers), timeout=_STATUS_S)
        for number, answer in enumerate(answers):
            with suppress(RayActorError):  # one that is being restarted has none
                if answer in ready:
                    self._shards[number] = ray.get(answer)

    def _clear(self) -> None:
        self._records.clear()
        self._recovery.clear()

    def _end_when_idle(self) -> None:
        """End the service once nobody has asked anything of it for `idle_s`."""
        pause = threading.Event()
        while self._busy or time.monotonic() - self._used < self._spec.idle_s:
            pause.wait(min(1.0, self._spec.idle_s / 4))
        self._metrics.log_event("idle", seconds=self._spec.idle_s)
        self._clear()
        ray.kill(ray.get_runtime_context().current_actor)


def _watched(entry: RegisteredTask) -> tuple[str, object, int | None]:
    """What metrics want to know of a task."""
    return entry.spec.task, entry.task.strategy, entry.task.policy.staleness


def _facts(status: ScorerStatus) -> Wire:
    return {"name": status.name, "pid": status.pid, "node": status.node, **asdict(status.memory)}
