"""The memory that a process and the shards in it take."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class ShardMemory:
    """The number of a scorer's shards, the blocks of the one used last, bytes of embeddings and of the process."""

    shards: int
    blocks: int
    kept_bytes: int
    memory_bytes: int


def resident_bytes() -> int:
    """The resident memory of this process in bytes, shared memory included."""
    with open("/proc/self/statm") as table:
        return int(table.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
