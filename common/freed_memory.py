"""Freed memory that a process keeps for its next batch or block, in place of giving it back to the system.

By default glibc returns large tensors to the kernel as they are freed, which zeroes every page of the next ones again:
a tenth of the CPU time of trials that train on clips, and 6 % of that of scoring (`tests/bench/freed_memory.md`).
"""

import ctypes
import os
import sys

_MMAP_FROM, _KEPT = 32 << 20, 1 << 30
"""Bytes: from where allocations are apart and given back, the most that glibc takes; and how many freed ones stay."""
_ARENAS = 1
"""Parts of the memory that threads take turns at: what one has freed is the next allocation of any."""
_SETTINGS = {
    "MALLOC_ARENA_MAX": (-8, _ARENAS),
    "MALLOC_MMAP_THRESHOLD_": (-3, _MMAP_FROM),
    "MALLOC_TRIM_THRESHOLD_": (-1, _KEPT),
}
"""Variables that glibc reads as a process starts, each with its number in malloc.h, for `mallopt`, and our value."""


def keep_freed_memory() -> None:
    """Keep freed memory in this process from now on, which should have one thread yet; nothing where there is no glibc,
    or where the environment has one of glibc's settings already.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and keeping_environment():
        for parameter, value in _SETTINGS.values():
            mallopt(parameter, value)


def keeping_environment() -> dict[str, str]:
    """Variables for processes that are started and are to keep freed memory; none if this one's has any of them."""
    if _SETTINGS.keys() & os.environ.keys():
        return {}
    return {name: str(value) for name, (_, value) in _SETTINGS.items()}
