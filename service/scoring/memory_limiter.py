"""Memory for embedding: where a block finds none, fewer are embedded at once, down to one.

A block is never cut: on a batch of another size its numbers would differ in the last bit, and with
them the picks.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from negsift.common.errors import ServiceError

log = logging.getLogger(__name__)

T = TypeVar("T")
_ALONE_TRIES = 2
_SMALLER = "lower --set fleet.block (picks may change in the last bit), "
_SIGNS = ("not enough memory", "can't allocate memory", "out of memory")


class MemoryLimiter:
    """How many blocks may be embedded at once: any number, until one finds no memory."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._running, self._width = 0, 0  # a width of 0 is none

    def fit(self, work: Callable[[], T], told: str, smaller: str = _SMALLER) -> T:
        """`work()`, repeated with less beside it for as long as it finds no memory.

        Raises ServiceError, naming the block as `told`, if there is none even alone; `smaller` says what makes it so.
        """
        alone = 0
        while True:
            with self._seat() as single:
                try:
                    return work()
                except (MemoryError, RuntimeError) as error:
                    if not lacks_memory(error):
                        raise
                    alone += int(single)
                    if alone == _ALONE_TRIES:
                        raise _too_large(told, smaller, error) from error
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                self._narrow(told)

    @contextmanager
    def _seat(self) -> Iterator[bool]:
        """Wait for a turn; whether nothing runs beside it."""
        with self._free:
            self._free.wait_for(lambda: not self._width or self._running < self._width)
            self._running += 1
            single = self._width == 1
        try:
            yield single
        finally:
            with self._free:
                self._running -= 1
                self._free.notify_all()

    def _narrow(self, told: str) -> None:
        with self._free:
            width = max(1, self._running // 2)
            if not self._width or width < self._width:
                self._width = width
                log.warning("no memory for %s; from now on %d at once", told, width)


def lacks_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out: Python's, CUDA's, or a RuntimeError of torch's allocator."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def _too_large(told: str, smaller: str, error: Exception) -> ServiceError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return ServiceError(
        f"no memory to embed {told}, not even with nothing beside it: {reason}",
        f"{smaller}start fewer scorers a machine or GPU, or give them more memory",
    )
