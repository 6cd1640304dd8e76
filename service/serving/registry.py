"""The tasks of a pool's service: what each run registered, and what is known of its rounds. No Ray in it."""

import hashlib
import json
import pickle
import uuid
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field, replace

from negsift.common.data.table.bags import TableBags
from negsift.common.errors import BadInput, UnknownName
from negsift.common.lru_cache import LruCache
from negsift.common.models.embedder import logit_columns
from negsift.common.types import PoolVersion, Round
from negsift.service.arguments import require_column
from negsift.service.monitoring.round_stats import RoundStats
from negsift.service.selection.task import Task, check_version, require_positives
from negsift.service.serving.protocol import RoundSpec, TaskSpec, Wire
from negsift.service.serving.shard_specs import ShardSpecs
from negsift.service.serving.unpickling import make_embedder, make_task_strategy

_MOST_HELD = 256


@dataclass
class RegisteredTask:
    """A task and its past; `token` differs from that of an earlier registration under the same name."""

    spec: TaskSpec
    token: str
    task: Task
    pool: TableBags
    spec_digest: str
    """Identifies what the task's shards are made from."""
    stats: RoundStats = field(default_factory=RoundStats)
    version: int | None = None
    """That of its last weights."""


@dataclass(frozen=True)
class TaskRound:
    """A round that a task may have, with weights of `version`."""

    name: str
    entry: RegisteredTask
    round: Round
    version: int


class TaskRegistry:
    """Registers tasks, and turns requests into rounds; registrations outlive this process in `records`."""

    def __init__(self, specs: ShardSpecs, records: MutableMapping[str, bytes]) -> None:
        self._specs, self._records = specs, records
        # Programs may die without a word, so tasks are dropped by last use; the records still know them.
        self._tasks = LruCache[str, RegisteredTask](_MOST_HELD)

    def register(self, spec: TaskSpec) -> Wire:
        """Add a task, in place of an earlier one of its name; raises BadInput for one that can't be served."""
        name, token = spec.task or f"task-{uuid.uuid4().hex[:6]}", uuid.uuid4().hex[:6]
        if "#" in name:
            raise BadInput(f"task {name!r}", "a name without #", "choose another")
        pool_version = self._specs.pool(spec.target, spec.pool_version).version
        spec = replace(spec, task=name, pool_version=pool_version)
        entry = self._enter(spec, token)
        self._records[name] = pickle.dumps((spec, token))
        return {
            "task": f"{name}#{token}", "pool": self._specs.location.name, "bags": len(entry.pool),
            "positives": len(self._specs.positives(spec.target, pool_version)), "pool_version": pool_version,
        }  # fmt: skip

    def forget(self, task: str) -> None:
        """Remove a task; nothing happens if it is gone, or was registered again."""
        name, _, token = task.partition("#")
        if name in self.names and self.entry(name).token == token:
            self._tasks.pop(name)
            del self._records[name]

    def round(self, request: RoundSpec) -> TaskRound:
        """The round requested; raises BadInput if its task is unknown or another program's, or its version no use."""
        name, _, token = request.task.partition("#")
        entry = self.entry(name)
        if token != entry.token:
            raise BadInput(f"task {name!r}, registered again by another program", "its own", "choose another name")
        version = request.epoch if request.version is None else request.version
        check_version(version, request.epoch, entry.spec.staleness)
        if entry.version is not None and version < entry.version:
            raise BadInput(
                f"weights of version {version} for task {name!r} after version {entry.version}",
                "the same version or a later one", "register the task again to go back",
            )  # fmt: skip
        pool = self._specs.pool(entry.spec.target, request.pool_version or entry.spec.pool_version)
        bags = PoolVersion(pool.version, len(pool))
        task = entry.task
        if request.part is not None:  # all scores of a part of the pool are wanted, not the best k
            task = replace(task, policy=replace(task.policy, candidates=None, rescore=request.part))
        round = task.round(request.epoch, bags, request.previous, scores_kept=True)
        round = replace(round, ranks=min(request.ranks or 0, len(pool)))
        entry.version = version
        return TaskRound(name, entry, round, version)

    def refresh(self, task: str, version: int | None) -> Wire:
        """Have a task's rounds use another version of the pool, by default the newest; gives its number and size."""
        name, _, token = task.partition("#")
        entry = self.entry(name)
        pool = self._specs.pool(entry.spec.target, version)
        if token == entry.token:
            entry.spec = replace(entry.spec, pool_version=pool.version)
            self._records[name] = pickle.dumps((entry.spec, token))
        return {"pool_version": pool.version, "bags": len(pool)}

    @property
    def names(self) -> list[str]:
        """The names of all tasks."""
        return sorted({name for name, _ in self._tasks.items()} | set(self._records))

    def status(self) -> Iterator[Wire]:
        """A record a task."""
        for name in self.names:
            entry = self.entry(name)
            spec, strategy = entry.spec, type(entry.task.strategy).__name__
            facts = {"target": spec.target, "strategy": strategy, "k": spec.k, "pool_version": spec.pool_version}
            yield {"task": name, **facts, "model": entry.spec_digest, **entry.stats.status()}

    def entry(self, name: str) -> RegisteredTask:
        """The task of that name; raises UnknownName."""
        entry = self._tasks.get(name)
        if entry is not None:
            return entry
        record = self._records.get(name)
        if record is None:
            raise UnknownName("task", name, self.names)
        return self._enter(*pickle.loads(record))

    def _enter(self, spec: TaskSpec, token: str) -> RegisteredTask:
        if spec.rescore:
            raise BadInput(f"a task with rescore={spec.rescore}", "select(part=…), which gives scores", "leave it out")
        if spec.score != "fresh":
            raise BadInput(f"a task with score={spec.score}", "fresh: a client remembers for itself", "leave it out")
        if spec.guard.of_ranks.active:
            found = f"a task with {spec.guard.of_ranks}"
            raise BadInput(found, "select(ranks=…), among which a client chooses", "leave it out")
        strategy, pool = make_task_strategy(spec.strategy), self._specs.pool(spec.target, spec.pool_version)
        task = Task(strategy, spec.k, spec.seed, spec.column, spec.policy)
        require_positives(task, len(self._specs.positives(spec.target, spec.pool_version)))
        task.size(len(pool))
        model = make_embedder(spec.model, pool.manifest.payload)  # so that one that can't be made is an error now
        require_column(spec.column, logit_columns(model))
        entry = RegisteredTask(spec, token, task, pool, _digest(spec))
        self._tasks.put(spec.task, entry)
        return entry


def _digest(spec: TaskSpec) -> str:
    """A digest of what shards are made from; tasks of one target, version and architecture share it."""
    model = spec.model if isinstance(spec.model, bytes) else json.dumps(dict(spec.model), sort_keys=True).encode()
    return hashlib.blake2b(f"{spec.target!r} {spec.pool_version} ".encode() + model, digest_size=6).hexdigest()
