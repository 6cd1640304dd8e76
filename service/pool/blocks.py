"""Blocks: fixed runs of consecutive positions, always embedded whole; and their division among shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from negsift.common.arrays import Index

Part = Literal["pool", "positives"]
"""Of a shard: its blocks of the pool, or of the positives."""

SMALL_BLOCK = 64
"""The bags of a block on a CPU, whose caches hold what a small network makes of them."""


def block_index(block: int, size: int, total: int) -> Index:
    """The positions in a block: `size` consecutive ones below `total`, fewer in the last block."""
    return np.arange(block * size, min((block + 1) * size, total), dtype=np.int64)


def block_count(total: int, size: int) -> int:
    """The number of blocks of `size` that cover `total` positions."""
    return -(-total // size)


def share_blocks(blocks: int, shards: int) -> Sequence[range]:
    """Consecutive runs of blocks, one a shard, whose lengths differ by at most one; some may be empty."""
    return [range(low, high) for low, high in pairwise(blocks * shard // shards for shard in range(shards + 1))]


@dataclass(frozen=True)
class WorkItem:
    """Part `part` of `parts` of the blocks of shard `shard`; by default all of them."""

    shard: int
    part: int = 0
    parts: int = 1
