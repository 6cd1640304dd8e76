"""The fleet of shards in this process, and what any fleet can do."""

import copy
import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.memory_use import least_budget
from negsift.common.models.adapt import Embedder
from negsift.common.repairs import RecoveryCounts
from negsift.common.threads import block_workers
from negsift.common.types import InstanceFeatures, Snapshot
from negsift.service.pool.bag_source import BagSource
from negsift.service.pool.blocks import block_count, share_blocks
from negsift.service.pool.shard_data import ShardData
from negsift.service.scoring.scoring_config import ScoringConfig
from negsift.service.scoring.shard import Shard


@dataclass(frozen=True)
class ShardSpec:
    """All that shards are made from: both parts' bags, the architecture, and the cutting into blocks.

    `budget` is for each shard's decoded bags, where they are those of a table; a scorer holds shards of
    `tasks_held` stocks at most.
    """

    pool: BagSource
    positives: BagSource
    model: Embedder
    shards: int
    block: int
    cache_bytes: int
    budget: DecodingBudget
    tasks_held: int = 16
    scoring: ScoringConfig = field(default_factory=ScoringConfig)

    def holding(self, number: int) -> ShardData:
        """What shard `number` holds."""
        share = number, self.shards
        pool, pool_blocks = self.pool.share(share, self.block, self.budget)
        positives = share_blocks(block_count(len(self.positives), self.block), self.shards)[number]
        return ShardData(pool, self.positives, pool_blocks, positives, self.block, share)

    def shard(self, number: int, model: Embedder, threads: Executor) -> Shard:
        """Shard `number`, with this model as its own."""
        return Shard(self.holding(number), model, threads, self.cache_bytes, self.scoring)

    def piece(self, number: int, at: int, of: int) -> ShardData:
        """Part `at` of `of` of what shard `number` holds, whole blocks; a table's bags are streamed."""
        bags = self.pool.dataset
        budget = least_budget(bags.row_index, self.budget.disk_bytes) if isinstance(bags, TableBags) else self.budget
        return dataclasses.replace(self, shards=self.shards * of, budget=budget).holding(number * of + at)


class Fleet(Protocol):
    """Shards that can be asked all at once, wherever they are."""

    repairs: RecoveryCounts
    """What was mended so far because a shard was gone, hung or slow."""

    @property
    def shards(self) -> int:
        """How many there are."""

    def publish(self, snapshot: Snapshot) -> Any:  # Any: a snapshot, or a reference to one
        """Make weights available to all shards; what comes back stands for them in `ask`."""

    def ask(self, method: str, published: Any, *args: Any) -> Sequence[Any]:  # Any: as above; the method's
        """`Shard.method(snapshot, *args)` of every shard, in the order of their numbers."""

    def extend(self, published: Any, features: InstanceFeatures) -> Any:  # Any: as above
        """The same weights together with the features of the pool's instances."""


class LocalFleet:
    """All shards in this process, asked one after another; each spreads its blocks over the machine's cores."""

    repairs = RecoveryCounts()

    def __init__(self, stock: ShardSpec, device: torch.device) -> None:
        self._threads = block_workers(1 if device.type == "cuda" else len(os.sched_getaffinity(0)))
        self._shards = [
            stock.shard(number, copy.deepcopy(stock.model).to(device), self._threads) for number in range(stock.shards)
        ]

    @property
    def shards(self) -> int:
        """How many there are."""
        return len(self._shards)

    def publish(self, snapshot: Snapshot) -> Snapshot:
        """Nothing to do: shards read it where it is."""
        return snapshot

    def ask(self, method: str, published: Snapshot, *args: Any) -> Sequence[Any]:  # Any: the method's
        """`Shard.method(snapshot, *args)` of every shard."""
        return [getattr(shard, method)(published, *args) for shard in self._shards]

    def extend(self, published: Snapshot, features: InstanceFeatures) -> Snapshot:
        """The same weights together with the features of the pool's instances."""
        return dataclasses.replace(published, features=features)

    def close(self, finish: bool = True) -> None:
        """End the worker threads; unless `finish`, blocks not begun are given up."""
        self._threads.shutdown(cancel_futures=not finish)
