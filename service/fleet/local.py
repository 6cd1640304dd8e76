"""All shards in this process: no Ray, one round at a time, blocks spread over the machine's cores."""

import dataclasses
import importlib
import os
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import NoReturn, TypeVar

import torch

from negsift.common.account import RecoveryCounts
from negsift.common.errors import BadInput, ServiceError, StillRunning
from negsift.common.generators import generators_kept
from negsift.common.models.copying import on_device
from negsift.common.protocols import Pending
from negsift.common.threads import block_workers
from negsift.common.types import InstanceFeatures, Round, Selection, Snapshot
from negsift.service.points.shared_points import GatherLimits
from negsift.service.protocols import Service
from negsift.service.scoring.requests import Fleet, ShardRequest
from negsift.service.scoring.shard import Shard
from negsift.service.scoring.shard_spec import ShardSpec
from negsift.service.selection.coordinator import select
from negsift.service.selection.task import Task

T = TypeVar("T")


class LocalFleet(Fleet):
    """Shards of this process in one round, asked one after another."""

    def __init__(self, shards: Sequence[Shard], snapshot: Snapshot) -> None:
        self._shards, self._snapshot = shards, snapshot
        self.shards, self.version, self.recovery = len(shards), snapshot.version, RecoveryCounts()

    def ask(self, request: ShardRequest[T]) -> Sequence[T]:
        """The answers of all shards, in the order of their numbers."""
        return [request.run(shard, self._snapshot) for shard in self._shards]

    def share_features(self, features: InstanceFeatures) -> None:
        """Give all shards the features of the pool's instances, for the rest of the round."""
        self._snapshot = dataclasses.replace(self._snapshot, features=features)


class LocalPending(Pending):
    """A round of this process on its way."""

    def __init__(self, future: Future[Selection], given_up: Event) -> None:
        self._future, self._given_up, self._process = future, given_up, os.getpid()

    def result(self, timeout_s: float | None = None, /) -> Selection:
        """Wait for the selection. Raises StillRunning after `timeout_s`, ServiceError if its sampler was closed before,
        and BadInput in a forked child, where it would never come.
        """
        require_process(self._process)
        if not wait([self._future], timeout_s).done:
            raise StillRunning("the round is under way")
        try:
            return self._future.result()
        except (CancelledError, RuntimeError) as error:
            if not self._given_up.is_set():
                raise
            raise ServiceError("a round given up, as its sampler was closed", "select with an open sampler") from error


def require_process(process: int) -> None:
    """Raise BadInput unless this is the process of that id, and not a child that was forked from it."""
    if os.getpid() != process:
        found = "a local sampler in a forked child, its threads in the parent"
        raise BadInput(found, "the process that made it", "make the sampler in the child, or give fleet='ray'")


class LocalService(Service):
    """Runs rounds one at a time on a thread of its own, so that `begin` doesn't wait."""

    def __init__(self, spec: ShardSpec, limits: GatherLimits, device: torch.device) -> None:
        self._limits, self._device, self._spec = limits, device, spec
        self._shares_instances = spec.shares_instances
        model = on_device(spec.new_model(), device)  # of all shards, which are asked one after another
        self._workers = block_workers(1 if device.type == "cuda" else len(os.sched_getaffinity(0)))
        self._shards = [spec.shard(number, model, self._workers) for number in range(spec.shards)]
        self._coordinator = ThreadPoolExecutor(1, thread_name_prefix="negsift-coordinator")
        self._process, self._given_up = os.getpid(), Event()

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> LocalPending:
        """Queue the round; raises BadInput in a forked child, which has none of the threads that would run it."""
        require_process(self._process)
        with generators_kept():  # scikit-learn's import draws from Python's; here the caller waits, later it may draw
            for name in task.strategy.imports:
                importlib.import_module(name)
        fleet, shares_instances = LocalFleet(self._shards, snapshot), self._shares_instances
        future = self._coordinator.submit(select, fleet, task, round, self._limits, shares_instances=shares_instances)
        return LocalPending(future, self._given_up)

    def __getstate__(self) -> NoReturn:
        raise BadInput("a sampler sent to another process, its shards in this one", "shards on Ray", "give fleet='ray'")

    def describe(self) -> str:
        """The number of shards and bags, the device, and the options that change how bags are scored."""
        shards, bags, options = self._spec.shards, len(self._spec.pool), self._spec.scoring.suffix
        return f"{shards} shards of {bags:,} bags in this process, on {self._device}{options}"

    def end(self, task: Task) -> None:
        """Nothing is kept of a task here."""

    def close(self, finish: bool = True) -> None:
        """Finish the rounds begun, or only the blocks being embedded unless `finish`, and end the threads."""
        if os.getpid() != self._process:  # the threads are the parent's
            return
        if not finish:
            self._given_up.set()
            self._workers.shutdown(cancel_futures=True)
        self._coordinator.shutdown(cancel_futures=not finish)
        self._workers.shutdown()
