"""A scorer: shards in a process of their own. A plain class, which the scorer group makes into actors.

Calls carry references to the weights and to the spec, so a restarted scorer needs nothing that was in its memory.
"""

import os
from collections.abc import Sequence
from typing import TypeVar

import ray
from ray import ObjectRef

from negsift.common.types import Snapshot
from negsift.service.cluster.actor_records import own_incarnation
from negsift.service.cluster.references import FETCH_S, Reply, ScorerStatus, SpecRef, WeightsRef
from negsift.service.monitoring.ray_gauges import ray_exporter
from negsift.service.monitoring.shard_metrics import ShardMetrics
from negsift.service.pool.blocks import WorkItem
from negsift.service.scoring.requests import ShardRequest

T = TypeVar("T")


class Scorer:
    """Shard `number` of every spec that it is asked about; metrics have the name of its `service`."""

    def __init__(self, number: int, cpus: float, service: str, gpus: float = 0.0) -> None:
        from negsift.service.scoring.shard_cache import ShardCache  # imported here: coordinators make scorers, too

        self._number, self._incarnation = number, own_incarnation()
        self._node: str = ray.get_runtime_context().get_node_id()
        self._shards = ShardCache.of_process(number, cpus, gpus if ray.get_gpu_ids() else 0.0)
        self._loaded: tuple[WeightsRef, Snapshot] | None = None
        self._metrics = ShardMetrics(ray_exporter(), service, repr(self), self._memory)

    def __repr__(self) -> str:
        return f"scorer-{self._number}"

    def build(self, spec: SpecRef | None) -> None:
        """Make the shard of a spec, if one is given, before it is asked anything. Raises BadInput on a node whose GPUs
        are there for Ray and not for torch.
        """
        self._shards.require_device()
        if spec is not None:
            self._shards.prepare(spec.digest, spec.fetch)

    def largest_block(self, spec: SpecRef) -> int:
        """The bags that a batch of `spec` may have on this scorer's device."""
        return self._shards.largest_block(spec.fetch())

    def ask(self, weights: WeightsRef, request: Sequence[ObjectRef[ShardRequest[T]]], item: WorkItem) -> Reply[T]:
        """The answer to a request with these weights, for its own shard or for an item of another scorer's."""
        digest = weights.spec.digest
        self._shards.prepare(digest, weights.spec.fetch)
        snapshot = self._fetch(weights)
        shard = self._shards.shard_for(digest, snapshot, item)
        with self._metrics.request(lambda: shard.embedded):
            answer = ray.get(request[0], timeout=FETCH_S).run(shard, snapshot)
        return Reply(self._incarnation, answer, self._node)

    def status(self) -> ScorerStatus:
        """What it is now; an answer is also a sign of life."""
        return ScorerStatus(repr(self), os.getpid(), self._node, self._incarnation, self._shards.memory())

    def _memory(self) -> tuple[int, int]:
        memory = self._shards.memory()
        return memory.memory_bytes, memory.kept_bytes

    def _fetch(self, weights: WeightsRef) -> Snapshot:
        if self._loaded is None or self._loaded[0] != weights:
            self._loaded = weights, weights.fetch()
        return self._loaded[1]
