"""The bags of one shard: whole blocks of the pool and of the positives."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Index
from negsift.common.block_subset import BlockSubset
from negsift.common.data.packed_bags import PackedBags
from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.row_group_stream import RowGroupStream
from negsift.service.pool.bag_source import BagSource
from negsift.service.pool.blocks import Part, block_index

_RUN, _LEAST_RUNS, _RUN_BYTES = 64, 32, 8 << 20


@dataclass(frozen=True)
class ShardData:
    """A shard's blocks of `block` bags of pool and positives; `share` is (its number, the number of shards)."""

    pool: BagSource
    positives: BagSource
    pool_blocks: range
    positive_blocks: range
    block: int
    share: tuple[int, int]

    def blocks(self, part: Part, subset: BlockSubset | None = None) -> Sequence[int]:
        """The shard's blocks of one part, of the pool those of `subset` only; they will be read next."""
        if part == "positives":
            return self.positive_blocks
        size, total = self.block, len(self.pool)
        blocks: Sequence[int] = self.pool_blocks
        runs = [self.pool_blocks]
        if subset is not None:
            chosen = subset.blocks(total, size)
            blocks = chosen[(chosen >= self.pool_blocks.start) & (chosen < self.pool_blocks.stop)].tolist()
            runs = [range(block, block + 1) for block in blocks]
        if isinstance(self.pool.dataset, RowGroupStream):
            self.pool.dataset.expect([range(run.start * size, min(run.stop * size, total)) for run in runs])
        return blocks

    def runs(self, blocks: Sequence[int]) -> Sequence[Sequence[int]]:
        """The blocks of the pool in runs of several for a thread at a time, where handing out would cost more than a
        block: small arrays in memory, many blocks. Else they are runs of one.
        """
        bags, length = self.pool.dataset, 1
        if isinstance(bags, PackedBags):
            block_bytes = self.block * bags.array.nbytes // max(1, len(bags.array))
            length = max(1, min(_RUN, len(blocks) // _LEAST_RUNS, _RUN_BYTES // max(1, block_bytes)))
        return [blocks[start : start + length] for start in range(0, len(blocks), length)]

    def block_index(self, part: Part, block: int) -> Index:
        """The positions in a block of one part."""
        return block_index(block, self.block, len(self.source(part)))

    def run_index(self, run: Sequence[int]) -> Index:
        """The positions in some blocks of the pool, one after another."""
        if isinstance(run, range) and run.step == 1:
            return np.arange(run.start * self.block, min(run.stop * self.block, len(self.pool)), dtype=np.int64)
        return np.concatenate([self.block_index("pool", block) for block in run])

    def bags(self, blocks: Sequence[int]) -> int:
        """The number of bags in these blocks of the pool."""
        return sum(len(self.block_index("pool", block)) for block in blocks)

    def pool_index(self, subset: BlockSubset | None, also: Index | None) -> Index:
        """The positions, on all shards, of the bags in `subset` (all without one) and in the blocks of `also`."""
        if subset is None:
            return np.arange(len(self.pool), dtype=np.int64)
        blocks = subset.blocks(len(self.pool), self.block)
        blocks = blocks if also is None else np.union1d(blocks, also // self.block)
        return np.concatenate([self.block_index("pool", int(block)) for block in blocks])

    def source(self, part: Part) -> BagSource:
        """The bags of one part."""
        return self.pool if part == "pool" else self.positives

    def at(self, pool_version: int) -> "ShardData":
        """The same shard of another version of the pool; itself where the pool is no table."""
        stream = self.pool.dataset
        if not isinstance(stream, RowGroupStream) or pool_version in (0, stream.row_index.manifest.version):
            return self
        source = dataclasses.replace(self.pool, dataset=TableBags(stream.row_index.at(pool_version)))
        pool, blocks = source.share(self.share, self.block, stream.budget)
        return dataclasses.replace(self, pool=pool, pool_blocks=blocks)
