"""A scorer: shards in a process of their own. A plain class, which the scorer group makes into actors.

Calls carry references to the weights and to the spec, so a restarted scorer needs nothing that was in its memory.
"""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import ray
import torch
from ray import ObjectRef

from negsift.common.errors import BadInput
from negsift.common.threads import block_workers
from negsift.common.types import InstanceFeatures, Snapshot
from negsift.service.cluster.actor_records import own_incarnation
from negsift.service.fleet.recovery_ledger import Incarnation
from negsift.service.pool.blocks import WorkItem
from negsift.service.scoring.requests import ShardRequest
from negsift.service.scoring.shard_cache import ShardCache, ShardMemory
from negsift.service.scoring.shard_spec import ShardSpec

T = TypeVar("T")
_FETCH_S = 120.0


@dataclass(frozen=True)
class SpecRef:
    """A ShardSpec in the object store by digest; in a list, here and below, so that Ray doesn't fetch it on the way."""

    digest: str
    reference: Sequence[ObjectRef[ShardSpec]]

    def fetch(self) -> ShardSpec:
        """The spec; without a limit of its own, since whoever waits for the scorer has one."""
        return ray.get(self.reference[0])


@dataclass(frozen=True)
class WeightsRef:
    """Weights in the object store: a Snapshot, or a client's plain arrays for the pool's version `pool_version`.

    `spec` is what they score. `features` are those of the pool's instances, where bags share instances.
    """

    version: int
    digest: str
    reference: Sequence[ObjectRef[Any]]  # Any: a Snapshot, or arrays by name
    spec: SpecRef
    pool_version: int = 0
    features: Sequence[ObjectRef[InstanceFeatures]] = ()

    def fetch(self) -> Snapshot:
        """The weights, with the features if there are any."""
        weights = ray.get(self.reference[0], timeout=_FETCH_S)
        if not isinstance(weights, Snapshot):
            weights = Snapshot(self.version, self.digest, weights, None, self.pool_version)
        features = ray.get(self.features[0], timeout=_FETCH_S) if self.features else None
        return replace(weights, features=features)


@dataclass(frozen=True)
class Reply(Generic[T]):
    """An answer, the incarnation of the scorer that gave it, and its node."""

    incarnation: Incarnation
    answer: T
    node: str


@dataclass(frozen=True)
class ScorerStatus:
    """A scorer's name, process, node and incarnation, and the memory it takes."""

    name: str
    pid: int
    node: str
    incarnation: Incarnation
    memory: ShardMemory


def require_cuda(gpus: int) -> None:
    """Raise BadInput if Ray gave this process `gpus` GPUs and torch can't use any."""
    if gpus and not torch.cuda.is_available():
        raise BadInput(
            f"{gpus} GPU of Ray's on {platform.node()}, where torch {torch.__version__} has no CUDA",
            "GPUs that torch can use", "start Ray there with --num-gpus=0, or set fleet.gpus_per_shard=0",
        )  # fmt: skip


class Scorer:
    """Shard `number` of every spec that it is asked about."""

    def __init__(self, number: int, cpus: float) -> None:
        self._number, self._incarnation = number, own_incarnation()
        self._node: str = ray.get_runtime_context().get_node_id()
        device = torch.device("cuda" if ray.get_gpu_ids() else "cpu")
        threads = block_workers(max(1, int(cpus)) if device.type == "cpu" else 1)
        self._shards = ShardCache(number, device, threads)
        self._loaded: tuple[WeightsRef, Snapshot] | None = None

    def __repr__(self) -> str:
        return f"scorer-{self._number}"

    def build(self, spec: SpecRef | None) -> None:
        """Make the shard of a spec, if one is given, before it is asked anything. Raises BadInput on a node whose GPUs
        are there for Ray and not for torch.
        """
        require_cuda(len(ray.get_gpu_ids()))
        if spec is not None:
            self._shards.prepare(spec.digest, spec.fetch)

    def ask(self, weights: WeightsRef, request: Sequence[ObjectRef[ShardRequest[T]]], item: WorkItem) -> Reply[T]:
        """The answer to a request with these weights, for its own shard or for an item of another scorer's."""
        digest = weights.spec.digest
        self._shards.prepare(digest, weights.spec.fetch)
        snapshot = self._fetch(weights)
        answer = ray.get(request[0], timeout=_FETCH_S).run(self._shards.shard_for(digest, snapshot, item), snapshot)
        return Reply(self._incarnation, answer, self._node)

    def status(self) -> ScorerStatus:
        """What it is now; an answer is also a sign of life."""
        return ScorerStatus(repr(self), os.getpid(), self._node, self._incarnation, self._shards.memory())

    def _fetch(self, weights: WeightsRef) -> Snapshot:
        if self._loaded is None or self._loaded[0] != weights:
            self._loaded = weights, weights.fetch()
        return self._loaded[1]
