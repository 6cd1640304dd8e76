"""Rounds on Ray: a coordinator actor over scorer actors. They end with the program that starts them."""

import functools
import time
import uuid
from dataclasses import replace
from typing import Any

import ray
from ray import ObjectRef

from negsift.common.config import AUTO
from negsift.common.counted import counted
from negsift.common.types import Round, Selection, Snapshot
from negsift.service.cluster.connect import connect
from negsift.service.cluster.coordinator import CoordinatorActor, task_name
from negsift.service.cluster.errors import put
from negsift.service.cluster.kv_store import KvStore
from negsift.service.cluster.pending import RayPending
from negsift.service.cluster.programs import own_program
from negsift.service.cluster.references import SpecRef, WeightsRef
from negsift.service.cluster.resources import shard_count
from negsift.service.cluster.room import find_room
from negsift.service.cluster.scorer_factory import ScorerFactory
from negsift.service.cluster.scorer_group import ScorerGroup
from negsift.service.cluster.waiting import scorers_waiting, waiting_told
from negsift.service.config import FleetConfig
from negsift.service.protocols import Service, in_blocks
from negsift.service.scoring.shard_spec import ShardSpec
from negsift.service.selection.task import Task

_GRACE_S = 30.0


class RayService(Service):
    """Rounds run by a coordinator actor over the scorers of `group`, which make shards of `spec`."""

    def __init__(  # Any: an actor handle
        self, coordinator: Any, group: ScorerGroup, spec: SpecRef, line: str, round_s: float, block: int
    ) -> None:
        self.coordinator, self.group, self._spec = coordinator, group, spec
        self._line, self._round_s, self.block = line, round_s, block
        self._begun: list[ObjectRef[Selection]] = []
        self._is_owner = True

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        """Other processes can have rounds run, too; closing it there does nothing."""
        return {**self.__dict__, "_begun": [], "_is_owner": False}

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> RayPending:
        """Hand the weights to the object store and the round to the coordinator."""
        weights = WeightsRef(snapshot.version, snapshot.digest, [put(snapshot, "the weights")], self._spec)
        answer = self.coordinator.select.options(name="coordinator.select").remote(task, round, weights)
        before = ray.wait(self._begun, num_returns=len(self._begun), timeout=0)[1] if self._begun else []
        self._begun = [*before, answer]
        until = last_moment(time.monotonic(), self._round_s, len(before))
        block, name, remedy = self.block, "the coordinator", "start the sampler again"
        return RayPending(answer, lambda selection: in_blocks(selection, block), name, remedy, until)

    def describe(self) -> str:
        """The number of scorers and bags, their resources, and the coordinator's name."""
        return self._line

    def end(self, task: Task) -> None:
        """Metrics no longer show the task, unless another program has rounds of one with its strategy and seed."""
        self._leave(task_name(task))

    def close(self, finish: bool = True) -> None:
        """End the actors, after rounds under way if `finish`; Ray itself continues."""
        if not self._is_owner:
            self._leave()
        else:
            if finish and self._begun:
                ray.wait(self._begun, num_returns=len(self._begun), timeout=self._round_s)
            ray.kill(self.coordinator)
            self.group.kill()
            KvStore.for_recovery(self.group.factory.tag).clear()

    def _leave(self, task: str | None = None) -> None:
        self.coordinator.leave.options(name="coordinator.leave").remote(own_program(), task)


def last_moment(now: float, round_s: float, before: int) -> float:
    """When a round is given up: it and the `before` under way may take `round_s` each, and one more if repeated."""
    return now + (before + 2) * round_s + _GRACE_S


def start_ray_service(spec: ShardSpec, config: FleetConfig) -> RayService:
    """Scorers and a coordinator on the Ray cluster, or in the placement group that confines this program.

    Raises BadInput for resources that it doesn't have. What has to wait for room is told in the log.
    """
    connect(config.dashboard)
    room = find_room()
    spec = replace(spec, shards=shard_count(room.resources, config))
    cpus, gpus = room.needs(config, spec.shards)
    tag = uuid.uuid4().hex[:6]
    factory = ScorerFactory((cpus, gpus), tag, room.group)
    group = ScorerGroup.start(factory, spec.shards)
    waiting = functools.partial(scorers_waiting, rf"scorer-\d+-{tag}", (cpus, gpus), room.group)
    with waiting_told(waiting, config.start_s):
        if config.block == AUTO and gpus:
            group.await_start(config.start_s)
            spec = replace(
                spec, block=group.largest_block(SpecRef(f"{tag}-probe", [put(spec, "the pool")]), config.start_s)
            )
        reference = SpecRef(tag, [put(spec, "the pool")])
        group.await_start(config.start_s, reference)
    name = f"coordinator-{tag}"
    actor = ray.remote(CoordinatorActor).options(name=name, num_cpus=0, max_restarts=-1, max_task_retries=-1)
    limits = replace(config.limits, needs=f"{cpus:g} CPU and {gpus:g} GPU")
    coordinator = actor.remote(factory, spec.shards, limits, config.gather_limits, spec.shares_instances)
    device = f"{gpus:g} GPU" if gpus else f"{cpus:g} CPU, no GPU"
    blocks = f" in blocks of {spec.block}" if config.block == AUTO else ""
    who = f"{counted(spec.shards, 'Ray scorer')} of {len(spec.pool):,} bags{blocks}"
    line = f"{who}, {device} each; {name}{config.scoring.suffix}"
    return RayService(coordinator, group, reference, line, config.deadline_s, spec.block)
