"""Memory for embedding: where a block finds too little, fewer blocks are embedded at once, down to one.

A block is never cut: in a batch of another size its numbers would differ in the last bit, and with them the picks.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from negsift.common.errors import ServiceError
from negsift.common.out_of_memory import lacks_memory

log = logging.getLogger(__name__)

T = TypeVar("T")
_ALONE_TRIES = 2
SMALLER_BLOCK = "lower fleet.block (picks may change in the last bit), "
"""The remedy for a block of bags that is too large."""


class BlockTooLarge(ServiceError):
    """Memory ran out for a single block."""


class MemoryLimiter:
    """Limits how many blocks are embedded at once; there is no limit until one runs out of memory."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._running, self._limit = 0, 0  # a limit of 0 is none

    def run(self, work: Callable[[], T], name: Callable[[], str], remedy: str = SMALLER_BLOCK) -> T:
        """`work()`, repeated with fewer others beside it for as long as it runs out of memory.

        Raises ServiceError, naming the block by `name`, if it does so twice with nothing beside it; `remedy`
        says how to make it smaller.
        """
        alone = 0
        while True:
            with self._slot() as single:
                try:
                    return work()
                except (MemoryError, RuntimeError) as error:
                    if not lacks_memory(error):
                        raise
                    alone += int(single)
                    if alone == _ALONE_TRIES:
                        raise too_large(name(), remedy, error) from error
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                self._lower_limit(name())

    @contextmanager
    def _slot(self) -> Iterator[bool]:
        """Wait for a slot; gives whether nothing else may run beside it."""
        with self._free:
            self._free.wait_for(lambda: not self._limit or self._running < self._limit)
            self._running += 1
            single = self._limit == 1
        try:
            yield single
        finally:
            with self._free:
                self._running -= 1
                self._free.notify_all()

    def _lower_limit(self, name: str) -> None:
        with self._free:
            limit = max(1, self._running // 2)
            if not self._limit or limit < self._limit:
                self._limit = limit
                log.warning("no memory for %s; from now on %d at once", name, limit)


def too_large(name: str, remedy: str, error: Exception) -> BlockTooLarge:
    """The error of a block for which memory ran out though nothing was beside it."""
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return BlockTooLarge(
        f"no memory to embed {name}, not even with nothing beside it: {reason}",
        f"{remedy}start fewer scorers a machine or GPU, or give them more memory",
    )
