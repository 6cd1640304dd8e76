"""All shards in this process: no Ray, one round at a time, on the machine's cores or on all of its GPUs."""

import dataclasses
import importlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import NoReturn, TypeVar

import torch

from negsift.common.account import RecoveryCounts
from negsift.common.errors import BadInput, ServiceError, StillRunning
from negsift.common.generators import generators_kept
from negsift.common.instance_features import InstanceFeatures
from negsift.common.protocols import Pending
from negsift.common.types import Round, Selection, Snapshot
from negsift.service.fleet.local_shards import AskedShards, LocalShards
from negsift.service.points.shared_points import GatherLimits
from negsift.service.protocols import Service, in_blocks
from negsift.service.scoring.memory_limiter import BlockTooLarge
from negsift.service.scoring.requests import Fleet, ShardRequest
from negsift.service.scoring.shard_spec import ShardSpec
from negsift.service.selection.coordinator import select
from negsift.service.selection.task import Task

log = logging.getLogger(__name__)

T = TypeVar("T")


class LocalFleet(Fleet):
    """Shards of this process in one round; those of one device are asked one after another."""

    def __init__(self, shards: AskedShards, snapshot: Snapshot) -> None:
        self._shards, self._snapshot = shards, snapshot
        self.shards, self.version, self.recovery = len(shards), snapshot.version, RecoveryCounts()

    def ask(self, request: ShardRequest[T]) -> Sequence[T]:
        """The answers of all shards, in the order of their numbers."""
        return self._shards.each(lambda shard: request.run(shard, self._snapshot))

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

    def __init__(
        self, spec: ShardSpec, limits: GatherLimits, devices: Sequence[torch.device], probe: bool = False
    ) -> None:
        """Shards go to the devices in turn. With `probe` the GPUs say how large blocks are."""
        self._limits, self._halves = limits, probe
        self._shards = LocalShards(spec, devices, probe)
        self.block = self._shards.spec.block
        self._coordinator = ThreadPoolExecutor(1, thread_name_prefix="negsift-coordinator")
        self._process, self._given_up = os.getpid(), Event()

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> LocalPending:
        """Queue the round; raises BadInput in a forked child, which has none of the threads that would run it."""
        require_process(self._process)
        with generators_kept():  # scikit-learn's import draws from Python's; here the caller waits, later it may draw
            for name in task.strategy.imports:
                importlib.import_module(name)
        return LocalPending(self._coordinator.submit(self._select, task, round, snapshot), self._given_up)

    def _select(self, task: Task, round: Round, snapshot: Snapshot) -> Selection:
        """One round; where blocks may be of any size, smaller ones are taken once memory runs out."""
        while True:
            fleet, shares_instances = LocalFleet(self._shards, snapshot), self._shards.spec.shares_instances
            try:
                selection = select(fleet, task, round, self._limits, shares_instances=shares_instances)
            except BlockTooLarge as error:
                if not self._halves or self.block == 1:
                    raise
                log.warning("%s: blocks have %d bags from now on, and picks may differ", error.what, self.block // 2)
            else:
                return in_blocks(selection, self.block)
            self.block //= 2
            self._shards.rebuild(self.block)

    def __getstate__(self) -> NoReturn:
        raise BadInput("a sampler sent to another process, its shards in this one", "shards on Ray", "give fleet='ray'")

    def describe(self) -> str:
        """The number of shards and bags, the device, and the options that change how bags are scored."""
        spec, blocks = self._shards.spec, f" in blocks of {self.block}" if self._halves else ""
        place = f"in this process, on {self._shards.place}{spec.scoring.suffix}"
        return f"{spec.shards} shards of {len(spec.pool):,} bags{blocks} {place}"

    def end(self, task: Task) -> None:
        """Nothing is kept of a task here."""

    def close(self, finish: bool = True) -> None:
        """Finish the rounds begun, or only the blocks being embedded unless `finish`, and end the threads."""
        if os.getpid() != self._process:  # the threads are the parent's
            return
        if not finish:
            self._given_up.set()
            self._shards.give_up()
        self._coordinator.shutdown(cancel_futures=not finish)
        self._shards.close()
