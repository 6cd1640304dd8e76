"""The part of a pool that one round scores: whole blocks, chosen so that every block gets its turn."""

import functools
from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Index
from negsift.common.rng import stream_key, uniform_keys


@dataclass(frozen=True)
class BlockSubset:
    """At least `bags` bags for round number `turn`: the next blocks of a permutation of all blocks.

    The permutation is a function of (seed, cycle). A cycle has as many turns as it takes to reach every
    block; its last turn is filled up from its first blocks. So the blocks depend on the seed, the turn and
    the size of the pool alone, and a bag waits at most two cycles.
    """

    bags: int
    seed: int
    turn: int

    def blocks(self, pool: int, block: int) -> Index:
        """The numbers of the chosen blocks, ascending, in a pool of `pool` bags in blocks of `block`."""
        count = -(-pool // block)
        return np.sort(self._next_blocks(count, self.size(pool, block)))

    def index(self, pool: int, block: int) -> Index:
        """The positions of the chosen bags, ascending."""
        positions = self.blocks(pool, block)[:, None] * block + np.arange(block)
        return positions[positions < pool]

    def size(self, pool: int, block: int) -> int:
        """The number of blocks: enough for `bags` even if the pool's last block, which may be short, is chosen."""
        short = -pool % block
        return max(0, min(-(-pool // block), -(-(self.bags + short) // block)))

    def _next_blocks(self, count: int, size: int) -> Index:
        if size >= count:
            return np.arange(count, dtype=np.int64)
        cycle, step = divmod(self.turn, -(-count // size))
        return _permutation(self.seed, cycle, count)[(step * size + np.arange(size)) % count]


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, cycle: int, count: int) -> Index:
    blocks = np.arange(count, dtype=np.int64)
    return np.argsort(uniform_keys(stream_key(seed, "lots", cycle), blocks), kind="stable")
