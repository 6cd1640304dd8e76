"""A service for one bag table on Ray: a named coordinator that serves many tasks, and the scorers it owns.

The coordinator owns the scorers, so that nothing is left once it is gone. Where it is detached it outlives
the program that started it; a restarted one reads its tasks from Ray's own store, and makes new scorers.
"""

import asyncio
import logging
import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, ObjectLostError

from negsift.common.data.table.location import Location
from negsift.common.errors import NegsiftError, ServiceError
from negsift.common.weights import weights_digest
from negsift.service.cluster.fleet import RayFleet
from negsift.service.cluster.scorer import Published
from negsift.service.cluster.scorer_group import ScorerFactory, ScorerGroup
from negsift.service.cluster.service import await_start
from negsift.service.config import FleetConfig
from negsift.service.fleet.local import ShardSpec
from negsift.service.monitoring.metrics import ServiceMetrics
from negsift.service.monitoring.round_stats import Lags
from negsift.service.points.shared_points import PoolLayout
from negsift.service.scoring.shard_cache import resident_bytes
from negsift.service.selection.coordinator import Coordinator
from negsift.service.serving.fair_queue import FairQueue
from negsift.service.serving.kv_store import KvStore
from negsift.service.serving.protocol import PROTOCOL, RoundSpec, TaskSpec, Wire, answer_of, error_of, parse
from negsift.service.serving.registry import TaskRegistry, TaskRound
from negsift.service.serving.shard_specs import ShardSpecs

_STOCKS = 16
_STATUS_S = 5.0


@dataclass(frozen=True)
class ServiceSpec:
    """A service to start: for which pool, with which fleet; `idle_s` of 0 is no limit."""

    name: str
    pool: str
    config: FleetConfig
    resources: tuple[float, float]
    shards: int
    idle_s: float = 0.0


class ServiceActor:
    """The coordinator of one service. What it takes and gives is described in README.md beside this file."""

    def __init__(self, order: ServiceSpec, identity: str) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        self._order, self._shelf = order, KvStore(identity)
        self._tasks = TaskRegistry(ShardSpecs(Location.of(order.pool), order.config, order.shards), self._shelf)
        self._crew = ScorerGroup.start(
            ScorerFactory([], order.resources, f"{order.name}-{uuid.uuid4().hex[:4]}"), order.shards
        )
        cpus, gpus = order.resources
        self._limits = replace(order.config.limits, needs=f"{cpus:g} CPU and {gpus:g} GPU")
        self._turns, self._told = FairQueue(), ServiceMetrics(order.name)
        self._stocks: OrderedDict[str, Any] = OrderedDict()  # Any: ray.ObjectRef of a Stock
        self._shards: Sequence[Wire] = []
        self._since, self._busy = time.time(), 0
        self._used = time.monotonic() + order.config.start_s  # whoever starts it may take so long to ask
        if order.idle_s:
            threading.Thread(target=self._watch, name="negsift-idle", daemon=True).start()

    def __repr__(self) -> str:
        return f"service-{self._order.name}"

    async def ready(self) -> Wire:
        """Wait until every scorer has started."""
        return await self._answer("", asyncio.to_thread(self._start))

    async def register(self, request: Mapping[str, Any]) -> Wire:  # Any: as in Wire
        """Take a task in; gives its name, and the pool's size and version."""
        return await self._answer("", asyncio.to_thread(lambda: self._tasks.register(parse(TaskSpec, request))))

    async def select(self, request: Mapping[str, Any], weights: Any) -> Wire:  # Any: as in Wire
        """One round of a task; `weights` are arrays by name, or a list with the one reference to them."""
        return await self._answer(str(request.get("task")), self._select(request, weights))

    async def refresh(self, task: str, version: int | None = None) -> Wire:
        """Let a task use another version of the pool, the newest by default."""
        return await self._answer(task, asyncio.to_thread(self._tasks.refresh, task, version))

    async def forget(self, task: str) -> Wire:
        """Let go of a task."""
        self._tasks.forget(task)
        return {}

    async def status(self) -> Wire:
        """What the service is, holds and does."""
        if not self._busy:
            await asyncio.to_thread(self._ask_shards)
        order, newest, idle_s = self._order, self._tasks.newest, max(0.0, time.monotonic() - self._used)
        return {
            "name": order.name, "pool": order.pool, "protocol": PROTOCOL, "pid": os.getpid(), "since": self._since,
            "newest": newest.version, "bags": newest.rows, "targets": list(newest.classes),
            "memory_bytes": resident_bytes(), "idle_s": idle_s, "idle_limit_s": order.idle_s,
            "running": self._turns.running, "waiting": self._turns.waiting, "shards": list(self._shards),
            "tasks": list(self._tasks.status()),
        }  # fmt: skip

    async def ended(self) -> None:
        """Never comes back: it ends, with an error, when the service does."""
        await asyncio.Event().wait()

    async def clear(self) -> None:
        """Forget all tasks, before the end."""
        self._shelf.clear()

    async def _answer(self, task: str, work: Awaitable[Wire]) -> Wire:
        self._busy += 1
        try:
            return await work
        except NegsiftError as error:
            self._told.failed(task.partition("#")[0], error)
            return error_of(error)
        finally:
            self._busy -= 1
            self._used = time.monotonic()

    def _start(self) -> Wire:
        await_start(self._crew.scorers, self._order.config.start_s)
        self._ask_shards()
        return {}

    async def _select(self, request: Mapping[str, Any], weights: Any) -> Wire:  # Any: as in Wire
        came = time.monotonic()
        asked = self._tasks.ask(parse(RoundSpec, request))  # before any await, so in the order they came
        async with self._turns.turn(asked.name):
            return await asyncio.to_thread(self._run, asked, weights, came)

    def _run(self, asked: TaskRound, weights: Any, came: float) -> Wire:  # Any: as in Wire
        begun = time.monotonic()
        references = weights if isinstance(weights, list) else [ray.put(weights)]
        digest, pool_version = self._digest(references), asked.round.pool_version
        assert pool_version is not None  # a table has versions
        stock = self._stock(*asked.entry.stock)
        published = Published(
            asked.version, f"{digest}@{pool_version.version}", references, pool_version.version, stock
        )
        lags = Lags(begun - came, time.monotonic() - came)
        config = self._order.config
        layout = PoolLayout(pool_version.bags, config.gather_mb << 20, config.held_mb << 20)
        selection = Coordinator(RayFleet(self._crew, self._limits), layout).select(
            asked.entry.task, asked.round, published
        )
        asked.entry.history.add(selection, asked.round.epoch, pool_version.bags, lags)
        self._told.round(asked.name, selection, asked.entry.history)
        self._ask_shards()
        return answer_of(selection)

    def _digest(self, references: list[Any]) -> str:  # Any: ray.ObjectRef
        try:
            return weights_digest(ray.get(references[0], timeout=self._order.config.deadline_s))
        except (ObjectLostError, GetTimeoutError) as error:
            raise ServiceError(
                f"weights that can't be had ({type(error).__name__})", "keep the reference until the answer is there"
            ) from error

    def _stock(self, digest: str, make: Callable[[], ShardSpec]) -> tuple[str, Sequence[Any]]:  # Any: ray.ObjectRef
        if digest not in self._stocks:
            self._stocks[digest] = ray.put(make())
        self._stocks.move_to_end(digest)
        while len(self._stocks) > _STOCKS:
            self._stocks.popitem(last=False)
        return digest, [self._stocks[digest]]

    def _ask_shards(self) -> None:
        """Take note of what scorers hold, of those that answer in time."""
        asked = [scorer.status.remote() for scorer in self._crew.scorers]
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=_STATUS_S)
        fresh = {each["name"]: each for each in self._shards} | {each["name"]: each for each in _alive(ready)}
        self._shards = [fresh[name] for name in sorted(fresh, key=lambda name: int(name.rpartition("-")[2]))]
        for status in self._shards:
            self._told.shard(status)

    def _watch(self) -> None:
        """End the service once nobody has asked anything of it for the time allowed."""
        pause = threading.Event()
        while self._busy or time.monotonic() - self._used < self._order.idle_s:
            pause.wait(min(1.0, self._order.idle_s / 4))
        self._told.tell("idle", seconds=self._order.idle_s)
        self._shelf.clear()
        ray.kill(ray.get_runtime_context().current_actor)


def _alive(references: Sequence[Any]) -> list[Wire]:  # Any: ray.ObjectRef
    """The answers that there are; a scorer being restarted has none."""
    found = []
    for reference in references:
        try:
            found.append(ray.get(reference))
        except ray.exceptions.RayActorError:
            continue
    return found
