"""The shards in one scorer process: one for every target and architecture asked for, the least recently used dropped.

Targets and architectures of one table share its decoded row groups; see `common.data.table.row_group_cache`.
"""

import platform
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Self

import torch

from negsift.common.errors import BadInput
from negsift.common.lru_cache import LruCache
from negsift.common.models.copying import on_device
from negsift.common.threads import block_workers
from negsift.common.types import Snapshot
from negsift.service.pool.blocks import WorkItem
from negsift.service.scoring.block_probe import device_block
from negsift.service.scoring.byte_limited_cache import ByteBudget
from negsift.service.scoring.device_memory import limit_memory
from negsift.service.scoring.device_pipeline import READERS
from negsift.service.scoring.shard import Shard
from negsift.service.scoring.shard_memory import ShardMemory, resident_bytes
from negsift.service.scoring.shard_spec import ShardSpec


class ShardCache:
    """Shard `number` of every spec in use; a spec is identified by its digest."""

    def __init__(self, number: int, device: torch.device, threads: Executor) -> None:
        self._number, self._device, self._threads = number, device, threads
        self._shards: LruCache[str, tuple[ShardSpec, Shard]] = LruCache(1)
        self._on_device: ByteBudget | None = None
        self._taken_over: dict[tuple[str, str, WorkItem], Shard] = {}

    @classmethod
    def of_process(cls, number: int, cpus: float, gpu_share: float) -> Self:
        """That of a process with so much of a GPU, to whose memory it is limited, or with so many CPUs."""
        if gpu_share <= 0:
            return cls(number, torch.device("cpu"), block_workers(max(1, int(cpus))))
        limit_memory(gpu_share)
        return cls(number, torch.device("cuda"), block_workers(min(READERS, max(2, int(cpus)))))

    def largest_block(self, spec: ShardSpec) -> int:
        """The bags that a batch of the spec may have on this process's device."""
        return device_block(spec, on_device(spec.own_model(), self._device), self._device)

    def require_device(self) -> None:
        """Raise BadInput if the shards are to be on a GPU and torch can't use any."""
        if self._device.type == "cuda" and not torch.cuda.is_available():
            raise BadInput(
                f"a GPU of Ray's on {platform.node()}, where torch {torch.__version__} has no CUDA",
                "GPUs that torch can use", "start Ray there with --num-gpus=0, or set fleet.gpus_per_shard=0",
            )  # fmt: skip

    def prepare(self, digest: str, fetch: Callable[[], ShardSpec]) -> None:
        """Have the shard of the spec called `digest` ready, made from what `fetch` gives if it isn't kept.

        All shards together keep as many embeddings as one may: the others give theirs up, the least recently used
        first, until half of that is free.
        """
        kept = self._shards.get(digest)
        if kept is None:
            spec = fetch()
            self._on_device = self._on_device or spec.device_budget(self._device)
            model = on_device(spec.own_model(), self._device)
            kept = spec, spec.shard(self._number, model, self._threads, self._on_device)
            self._shards.limit = spec.tasks_held
            self._shards.put(digest, kept)
        spec, shard = kept
        others = [other for _, (_, other) in self._shards.items() if other is not shard]
        for other in others:
            roomy = self._on_device is None or self._on_device.used_bytes <= self._on_device.limit_bytes // 2
            other.release(keep=roomy and sum(each.budget.used_bytes for each in others) <= spec.cache_bytes // 2)
        shard.budget.limit_bytes = spec.cache_bytes - sum(other.budget.used_bytes for other in others)

    def shard_for(self, digest: str, snapshot: Snapshot, item: WorkItem) -> Shard:
        """The shard for an item: this scorer's own, or one for a part of another's, kept until other weights come."""
        request = digest, snapshot.digest
        self._taken_over = {key: shard for key, shard in self._taken_over.items() if key[:2] == request}
        kept = self._shards.get(digest)
        assert kept is not None  # `prepare` comes first
        spec, own = kept
        if item == WorkItem(self._number):
            return own
        own.load(snapshot)  # all of them run this shard's model
        if (*request, item) not in self._taken_over:
            self._taken_over[*request, item] = own.for_data(snapshot, spec.item_data(item))
        return self._taken_over[*request, item]

    def memory(self) -> ShardMemory:
        """What the shards take now."""
        shards = [shard for _, (_, shard) in self._shards.items()]
        kept_bytes = sum(shard.budget.used_bytes for shard in shards)
        return ShardMemory(len(shards), shards[-1].blocks if shards else 0, kept_bytes, resident_bytes())
