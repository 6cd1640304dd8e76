"""What a shard holds: whole blocks of the pool and of the positives."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from negsift.common.arrays import Index
from negsift.common.block_subset import BlockSubset
from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.row_group_stream import RowGroupStream
from negsift.service.pool.bag_source import BagSource
from negsift.service.pool.blocks import block_index

Part = Literal["pool", "positives"]


@dataclass(frozen=True)
class ShardData:
    """A shard's blocks of the pool and of the positives, all of `block` bags.

    `share` is (the shard's number, how many shards there are).
    """

    pool: BagSource
    positives: BagSource
    pool_blocks: range
    positive_blocks: range
    block: int
    share: tuple[int, int]

    def blocks(self, part: Part, lot: BlockSubset | None = None) -> Sequence[int]:
        """The blocks of one part, which are asked for next; of the pool only those of a lot, if there is one."""
        if part == "positives":
            return self.positive_blocks
        if lot is None:
            return self._expected(self.pool_blocks, [self.pool_blocks])
        chosen = lot.blocks(len(self.pool), self.block)
        mine: list[int] = chosen[(chosen >= self.pool_blocks.start) & (chosen < self.pool_blocks.stop)].tolist()
        return self._expected(mine, [range(block, block + 1) for block in mine])

    def _expected(self, blocks: Sequence[int], runs: Sequence[range]) -> Sequence[int]:
        if isinstance(self.pool.dataset, RowGroupStream):
            size, total = self.block, len(self.pool)
            self.pool.dataset.expect([range(run.start * size, min(run.stop * size, total)) for run in runs])
        return blocks

    def bags(self, blocks: Sequence[int]) -> int:
        """How many bags of the pool these blocks hold."""
        return sum(len(block_index(block, self.block, len(self.pool))) for block in blocks)

    def index(self, lot: BlockSubset | None, also: Index | None) -> Index:
        """The positions, on all shards, of a lot's bags (of all, without a lot) and of whole blocks around `also`."""
        if lot is None:
            return np.arange(len(self.pool), dtype=np.int64)
        blocks = lot.blocks(len(self.pool), self.block)
        wanted = blocks if also is None else np.union1d(blocks, also // self.block)
        return np.concatenate([block_index(int(block), self.block, len(self.pool)) for block in wanted])

    def source(self, part: Part) -> BagSource:
        """The bags of one part."""
        return self.pool if part == "pool" else self.positives

    def at(self, pool_version: int) -> "ShardData":
        """What the same shard holds of a version of the pool; the same as ever where the pool is no table."""
        feed = self.pool.dataset
        if not isinstance(feed, RowGroupStream) or pool_version in (0, feed.row_index.manifest.version):
            return self
        source = dataclasses.replace(self.pool, dataset=TableBags(feed.row_index.at(pool_version)))
        pool, blocks = source.share(self.share, self.block, feed.budget)
        return dataclasses.replace(self, pool=pool, pool_blocks=blocks)
