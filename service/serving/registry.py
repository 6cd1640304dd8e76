"""The tasks of a pool's service: what each run registered, and what is known of its rounds."""

import dataclasses
import hashlib
import json
import pickle
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.manifest import Manifest
from negsift.common.errors import BadInput, UnknownName
from negsift.common.types import PoolVersion, Round
from negsift.service.arguments import check_version, require_positives, resolve_k
from negsift.service.fleet.local import ShardSpec
from negsift.service.monitoring.round_stats import RoundStats
from negsift.service.selection.coordinator import Task
from negsift.service.selection.round_scope import Scope
from negsift.service.serving.protocol import RoundSpec, TaskSpec, Wire
from negsift.service.serving.shard_specs import ShardSpecs
from negsift.service.serving.unpickling import make_embedder, make_task_strategy
from negsift.service.strategies.full import Full

_HELD = 256


class RecordStore(Protocol):
    """Where registrations outlive the coordinator's process."""

    def put(self, name: str, record: bytes) -> None:
        """Keep a record under a name."""

    def get(self, name: str) -> bytes | None:
        """The record, if there is one."""

    def remove(self, name: str) -> None:
        """Forget it."""

    def names(self) -> list[str]:
        """All names."""


@dataclass
class RegisteredTask:
    """A task and its past. `token` tells its registration from an earlier one of the same name."""

    spec: TaskSpec
    token: str
    task: Task
    pool: TableBags
    stock: tuple[str, Callable[[], ShardSpec]]
    history: RoundStats
    version: int | None = None


@dataclass(frozen=True)
class TaskRound:
    """A round that a task may have."""

    name: str
    entry: RegisteredTask
    round: Round
    version: int


class TaskRegistry:
    """Registers tasks and turns requests into rounds; no Ray in it."""

    def __init__(self, stocks: ShardSpecs, shelf: RecordStore) -> None:
        self._stocks, self._shelf = stocks, shelf
        self._held: OrderedDict[str, RegisteredTask] = OrderedDict()

    def register(self, spec: TaskSpec) -> Wire:
        """Take a task in, in place of an earlier one of its name; raises BadInput for one that can't be served."""
        name, token = spec.task or f"task-{uuid.uuid4().hex[:6]}", uuid.uuid4().hex[:6]
        if "#" in name:
            raise BadInput(f"task {name!r}", "a name without #", "choose another")
        pool_version = self._stocks.pool(spec.target, spec.pool_version).version
        spec = dataclasses.replace(spec, task=name, pool_version=pool_version)
        entry = self._enter(spec, token)
        self._shelf.put(name, pickle.dumps((spec, token)))
        positives = len(self._stocks.positives(spec.target, pool_version))
        known = {"bags": len(entry.pool), "positives": positives, "pool_version": pool_version}
        return {"task": f"{name}#{token}", "pool": self._stocks.where.name, **known}

    def forget(self, task: str) -> None:
        """Let go of a task; nothing if it is gone, or was taken over."""
        name, _, token = task.partition("#")
        if name in self.names and self._entry(name).token == token:
            self._held.pop(name, None)
            self._shelf.remove(name)

    def ask(self, spec: RoundSpec) -> TaskRound:
        """The round asked for; raises BadInput if the task is unknown or taken over, or the version unfit."""
        name, _, token = spec.task.partition("#")
        entry = self._entry(name)
        if token != entry.token:
            raise BadInput(f"task {name!r}, registered again by another program", "its own", "choose another name")
        version = spec.epoch if spec.version is None else spec.version
        check_version(version, spec.epoch, entry.spec.staleness)
        if entry.version is not None and version < entry.version:
            raise BadInput(
                f"weights of version {version} for task {name!r} after version {entry.version}",
                "the same version or a later one", "register the task again to go back",
            )  # fmt: skip
        pool = self._stocks.pool(entry.spec.target, spec.pool_version or entry.spec.pool_version)
        k = resolve_k(entry.spec.k, entry.task.strategy, len(pool))
        pool_version = PoolVersion(pool.version, len(pool))
        entry.version = version
        asked = Round(name, spec.epoch, entry.spec.seed, k, entry.spec.column, spec.previous, pool_version)
        scope = entry.task.scope if spec.part is None else Scope(rescore=spec.part, every=entry.task.scope.every)
        scope.check(entry.task.strategy, k)
        asked = scope.narrowed(asked, entry.task.strategy_at(spec.epoch), begun=True)
        return TaskRound(name, entry, asked, version)

    def refresh(self, task: str, version: int | None) -> Wire:
        """The number and size of a version of the task's pool, the newest by default, which its rounds use from now."""
        name, _, token = task.partition("#")
        entry = self._entry(name)
        pool = self._stocks.pool(entry.spec.target, version)
        if token == entry.token:
            entry.spec = dataclasses.replace(entry.spec, pool_version=pool.version)
            self._shelf.put(name, pickle.dumps((entry.spec, token)))
        return {"pool_version": pool.version, "bags": len(pool)}

    @property
    def newest(self) -> Manifest:
        """The newest version of the table."""
        return self._stocks.newest

    @property
    def names(self) -> list[str]:
        """All tasks registered."""
        return sorted({*self._held, *self._shelf.names()})

    def status(self) -> Iterator[Wire]:
        """A line a task."""
        for name in self.names:
            entry = self._entry(name)
            spec, strategy = entry.spec, type(entry.task.strategy).__name__
            facts = {"target": spec.target, "strategy": strategy, "k": spec.k, "pool_version": spec.pool_version}
            yield {"task": name, **facts, "model": entry.stock[0], **entry.history.status()}

    def _entry(self, name: str) -> RegisteredTask:
        if name not in self._held:
            record = self._shelf.get(name)
            if record is None:
                raise UnknownName("task", name, self.names)
            self._enter(*pickle.loads(record))
        self._held.move_to_end(name)
        return self._held[name]

    def _enter(self, spec: TaskSpec, token: str) -> RegisteredTask:
        strategy = make_task_strategy(spec.strategy)
        pool = self._stocks.pool(spec.target, spec.pool_version)
        require_positives(strategy, len(self._stocks.positives(spec.target, spec.pool_version)))
        resolve_k(spec.k, strategy, len(pool))
        make_embedder(spec.model, pool.manifest.payload)  # what can't be made is told now
        stock = _digest(spec), lambda: self._stocks.make(spec)
        task = Task(strategy, spec.random_rounds, spec.staleness, Scope(spec.candidates, None, spec.every))
        task.scope.check(strategy, 0 if isinstance(strategy, Full) else spec.k or 0)
        self._held[spec.task] = RegisteredTask(spec, token, task, pool, stock, RoundStats())
        self._held.move_to_end(spec.task)
        while len(self._held) > _HELD:  # their programs may have died without a word; the shelf knows them still
            self._held.popitem(last=False)
        return self._held[spec.task]


def _digest(spec: TaskSpec) -> str:
    """A name for what shards hold for a task: tasks of one target, version and architecture share it."""
    model = spec.model if isinstance(spec.model, bytes) else json.dumps(dict(spec.model), sort_keys=True).encode()
    told = f"{spec.target!r} {spec.pool_version} ".encode() + model
    return hashlib.blake2b(told, digest_size=6).hexdigest()
