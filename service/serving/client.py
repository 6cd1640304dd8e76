"""A client of a pool's service, for programs that have torch: rounds of a NegativeSampler, run there."""

from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayTaskError
from torch import nn

from negsift.common.data.table.bags import open_pool
from negsift.common.errors import ServiceError
from negsift.common.models.adapt import as_embedder
from negsift.common.protocols import Pending
from negsift.common.types import Round, Selection, Snapshot
from negsift.service.arguments import resolve_k
from negsift.service.sampler import NegativeSampler
from negsift.service.selection.coordinator import Task
from negsift.service.serving.directory import find
from negsift.service.serving.pickling import carry_model, carry_strategy
from negsift.service.serving.protocol import PROTOCOL, Wire, checked, selection_of
from negsift.service.strategies.full import Full

_ANSWER_S = 120.0


class AttachedService:
    """Rounds run by another program's service; every strategy of this client is a task of its own there."""

    def __init__(self, name: str, model: nn.Module, head: str | None, label: str | None, task: str) -> None:
        self._name, self._label, self._task = name, label, task
        self._actor = find(name)
        self._model = carry_model(as_embedder(model, head))
        self._known: list[tuple[tuple[Task, int, int, int], str]] = []

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        """In another process it is a client of its own, with tasks of its own."""
        return {**self.__dict__, "_known": []}

    def pool(self) -> Wire:
        """Where the pool lies."""
        return self._call(self._actor.status.remote())

    @property
    def label(self) -> str | None:
        """The label whose negatives are the pool."""
        return self._label

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> Pending:
        """Hand the weights to the object store and the round to the service."""
        assert round.pool_version is not None  # pool_version_of says so
        request = {
            "protocol": PROTOCOL, "task": self._registered(task, round), "epoch": round.epoch,
            "version": snapshot.version, "pool_version": round.pool_version.version, "previous": round.previous,
            "part": round.lot.bags if round.at_most and round.lot else None,
        }  # fmt: skip
        held = ray.put(dict(snapshot.weights))
        named = self._actor.select.options(name=f"select:{self._task or 'task'}:epoch={round.epoch}")
        return AttachedPending(named.remote(request, [held]), held, self._name)

    def describe(self) -> str:
        """What was attached to, in one line."""
        return f"attached to service {self._name!r}"

    def close(self, finish: bool = True) -> None:
        """Let go of the tasks; the service goes on."""
        for _, name in self._known:
            self._actor.forget.remote(name)
        self._known = []

    def _registered(self, task: Task, round: Round) -> str:
        """The task's name in the service; the first round of each registers it."""
        full = isinstance(task.strategy, Full)
        key = task, 0 if full else round.k, round.seed, round.target
        for known, name in self._known:
            if known[0] is task and known[1:] == key[1:]:
                return name
        number = len(self._known)
        request = {
            "protocol": PROTOCOL, "task": f"{self._task}-{number}" if self._task and number else self._task,
            "model": self._model, "strategy": carry_strategy(task.strategy), "target": self._label,
            "k": None if full else round.k, "seed": round.seed, "column": round.target,
            "random_rounds": task.random_rounds, "staleness": task.staleness,
            "candidates": task.scope.candidates, "every": task.scope.every,
        }  # fmt: skip
        name = str(self._call(self._actor.register.remote(request))["task"])
        self._known.append((key, name))
        return name

    def _call(self, reference: Any) -> Wire:  # Any: ray.ObjectRef
        return checked(_get(reference, _ANSWER_S, self._name))


@dataclass(frozen=True)
class AttachedPending:
    """A selection under way in the service; it keeps the weights until it is there."""

    reference: Any  # Any: ray.ObjectRef of the answer
    held: Any  # Any: ray.ObjectRef of the weights
    service: str

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for it; raises TimeoutError after `timeout_s`, and whatever went wrong in the service."""
        return selection_of(_get(self.reference, timeout_s, self.service))


def _get(reference: Any, timeout_s: float | None, service: str) -> Wire:  # Any: ray.ObjectRef
    try:
        answer: Wire = ray.get(reference, timeout=timeout_s)
    except GetTimeoutError:
        raise TimeoutError(f"no answer from service {service!r} within {timeout_s:g} s") from None
    except ActorDiedError as error:
        raise ServiceError(f"service {service!r} has ended", "start it again, and attach anew") from error
    except RayTaskError as error:
        raise error.cause from error
    return answer


def open_attached(service: AttachedService, task: Task, first: Round) -> NegativeSampler:
    """The sampler over a service; `first.k` of -1 stands for none given."""
    bags = open_pool(service.pool()["pool"], service.label)
    k = resolve_k(None if first.k < 0 else first.k, task.strategy, len(bags))
    return NegativeSampler.over(service, bags, task, replace(first, k=k))
