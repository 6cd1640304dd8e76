"""What shards are made from, and the parts of a shard's work that other shards can take over."""

import dataclasses
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Self

import torch

from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.memory_use import least_budget
from negsift.common.models.copying import independent_copy, on_cpu
from negsift.common.models.embedder import Embedder, ModelFactory
from negsift.service.pool.bag_source import BagSource
from negsift.service.pool.blocks import WorkItem, block_count, share_blocks
from negsift.service.pool.shard_data import ShardData
from negsift.service.scoring.byte_limited_cache import ByteBudget
from negsift.service.scoring.device_memory import kept_bytes
from negsift.service.scoring.scoring_config import ScoringConfig
from negsift.service.scoring.shard import Shard


@dataclass(frozen=True)
class ShardSpec:
    """The bags of pool and positives, the architecture or what makes it, the number of `shards`, the bags in a `block`.

    `budget` limits each shard's decoded bags, if they are a table's; `cache_bytes` its kept embeddings. A
    scorer keeps shards of at most `tasks_held` specs, and `device_bytes` on its GPU, by default half of its memory.
    """

    pool: BagSource
    positives: BagSource
    model: Embedder | ModelFactory
    shards: int
    block: int
    cache_bytes: int
    budget: DecodingBudget
    tasks_held: int = 16
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    device_bytes: int | None = None

    @property
    def shares_instances(self) -> bool:
        """Whether encoding each instance once saves work: bags that share instances, and a model that pools them."""
        return self.pool.ragged and self.pool.shared_instances is not None

    def to_send(self) -> Self:
        """The same with the model's tensors on the CPU, for processes that may have no GPU."""
        return self if isinstance(self.model, ModelFactory) else dataclasses.replace(self, model=on_cpu(self.model))

    def new_model(self) -> Embedder:
        """A model that shares nothing with the one given, for this process."""
        return self.model() if isinstance(self.model, ModelFactory) else independent_copy(self.model)

    def own_model(self) -> Embedder:
        """The model of a spec that has come to another process, whose it is."""
        return self.model() if isinstance(self.model, ModelFactory) else self.model

    def data(self, number: int) -> ShardData:
        """The bags of shard `number`."""
        share = number, self.shards
        pool, pool_blocks = self.pool.share(share, self.block, self.budget)
        positive_blocks = share_blocks(block_count(len(self.positives), self.block), self.shards)[number]
        return ShardData(pool, self.positives, pool_blocks, positive_blocks, self.block, share)

    def device_budget(self, device: torch.device) -> ByteBudget | None:
        """What shards of one process keep on a device together; None where that is main memory."""
        if device.type == "cpu":
            return None
        return ByteBudget(kept_bytes(device) if self.device_bytes is None else self.device_bytes)

    def shard(self, number: int, model: Embedder, threads: Executor, on_device: ByteBudget | None = None) -> Shard:
        """Shard `number`, with this model as its own, which is on the device of the budget, if there is one."""
        return Shard(self.data(number), model, threads, self.cache_bytes, self.scoring, on_device)

    def item_data(self, item: WorkItem) -> ShardData:
        """The bags of a part of a shard, in whole blocks; a table's bags are streamed, none are held."""
        bags = self.pool.dataset
        budget = least_budget(bags.row_index, self.budget.disk_bytes) if isinstance(bags, TableBags) else self.budget
        finer = dataclasses.replace(self, shards=self.shards * item.parts, budget=budget)
        return finer.data(item.shard * item.parts + item.part)
