"""A client of a pool's service, for programs that have torch: rounds of a NegativeSampler, run there."""

from dataclasses import asdict, replace
from typing import Any

from ray import ObjectRef

from negsift.common.data.table.bags import open_pool
from negsift.common.errors import StillRunning
from negsift.common.guards import Guards
from negsift.common.models.embedder import Embedder, logit_columns
from negsift.common.types import Round, Snapshot
from negsift.service.cluster.errors import get, put
from negsift.service.cluster.pending import RayPending
from negsift.service.protocols import Service
from negsift.service.sampler import NegativeSampler
from negsift.service.selection.task import Task
from negsift.service.serving.directory import find
from negsift.service.serving.pickling import carry_model, carry_strategy
from negsift.service.serving.protocol import PROTOCOL, Wire, checked, selection_of

_ANSWER_S = 120.0
_REMEDY = "start it again, and attach again"


class AttachedService(Service):
    """Rounds run by another program's service; every task of this client is a task of its own there."""

    def __init__(self, name: str, model: Embedder, label: str | None, task: str) -> None:
        self._described, self._label, self._task = f"service {name!r}", label, task
        self._actor = find(name)
        self._model, self._columns = carry_model(model), logit_columns(model)
        self._registered: list[tuple[Task, str]] = []
        self._count, self.block = 0, 0

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        """In another process it is a client of its own, with tasks of its own."""
        return {**self.__dict__, "_registered": [], "_count": 0}

    def sampler(self, task: Task, outputs: str | None = None) -> NegativeSampler:
        """A sampler of the service's pool, for one task; `outputs` is what the model gives."""
        location = self._call(self._actor.status.remote())["pool"]
        return NegativeSampler.over(self, open_pool(location, self._label), task, self._columns, outputs)

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> RayPending:
        """Hand the weights to the object store and the round to the service."""
        request = {
            "protocol": PROTOCOL, "task": self._name_of(task), "epoch": round.epoch, "version": snapshot.version,
            "pool_version": round.pool.version, "previous": round.previous,
            "part": round.subset.bags if round.all_scores and round.subset else None, "ranks": round.ranks or None,
        }  # fmt: skip
        weights = put(dict(snapshot.weights), "the weights")
        call = self._actor.select.options(name="service.select")
        return RayPending(call.remote(request, [weights]), selection_of, self._described, _REMEDY, weights=weights)

    def describe(self) -> str:
        """The service's name."""
        return f"attached to {self._described}"

    def end(self, task: Task) -> None:
        """Remove one task; another round of it would register it again."""
        for known, name in self._registered:
            if known is task:
                self._actor.forget.remote(name)
        self._registered = [entry for entry in self._registered if entry[0] is not task]

    def close(self, finish: bool = True) -> None:
        """Remove the tasks; the service continues."""
        for _, name in self._registered:
            self._actor.forget.remote(name)
        self._registered = []

    def _name_of(self, task: Task) -> str:
        """The task's name in the service; the first round of each task registers it."""
        for known, name in self._registered:
            if known is task:
                return name
        number, self._count = self._count, self._count + 1
        # The service keeps nothing between rounds: what goes by earlier rounds, or by ranks, is done here.
        guard = Guards(positives=task.policy.guard.positives)
        policy = replace(task.policy, rescore=None, score="fresh", guard=guard)
        request = {
            "protocol": PROTOCOL, "task": f"{self._task}-{number}" if self._task and number else self._task,
            "model": self._model, "strategy": carry_strategy(task.strategy), "target": self._label, "k": task.k,
            "seed": task.seed, "column": task.target, **asdict(policy),
        }  # fmt: skip
        name = str(self._call(self._actor.register.remote(request))["task"])
        self._registered.append((task, name))
        return name

    def _call(self, answer: ObjectRef[Wire]) -> Wire:
        try:
            return checked(get(answer, _ANSWER_S, self._described, _REMEDY))
        except StillRunning as error:
            raise StillRunning(f"no answer from {self._described} within {_ANSWER_S:g} s") from error
