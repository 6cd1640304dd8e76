"""Lots: the part of a pool that one round scores, whole blocks of it, so that every block comes in turn."""

import functools
from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Index
from negsift.common.rng import stream_key, uniform_keys


@dataclass(frozen=True)
class BlockSubset:
    """At least `bags` bags for round number `turn`: the next blocks of a walk through all of them.

    The walk is a fresh permutation by (seed, cycle); a cycle is as many turns as it takes to reach every
    block, and its last turn is filled up from its beginning. So a lot is a function of the seed, the turn
    and the size of the pool alone, and a bag waits for two cycles at most.
    """

    bags: int
    seed: int
    turn: int

    def blocks(self, pool: int, block: int) -> Index:
        """The numbers of the lot's blocks of `block` bags, ascending, in a pool of so many bags."""
        count = -(-pool // block)
        return np.sort(self._walk(count, self._size(pool, block)))

    def index(self, pool: int, block: int) -> Index:
        """The positions of the lot's bags, ascending."""
        within = self.blocks(pool, block)[:, None] * block + np.arange(block)
        return within[within < pool]

    def _size(self, pool: int, block: int) -> int:
        """Blocks a lot: enough even with the last one, which may be short."""
        short = -pool % block
        return max(0, min(-(-pool // block), -(-(self.bags + short) // block)))

    def _walk(self, count: int, size: int) -> Index:
        if size >= count:
            return np.arange(count, dtype=np.int64)
        cycle, step = divmod(self.turn, -(-count // size))
        return _order(self.seed, cycle, count)[(step * size + np.arange(size)) % count]


@functools.lru_cache(maxsize=4)
def _order(seed: int, cycle: int, count: int) -> Index:
    everything = np.arange(count, dtype=np.int64)
    return np.argsort(uniform_keys(stream_key(seed, "lots", cycle), everything), kind="stable")
