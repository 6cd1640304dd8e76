"""Values kept by key within a budget of bytes that several caches may share, for several threads.

A value that doesn't fit is not kept: each pass reads every block once, so evicting one for another gains nothing.
"""

import threading
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Sizable(Protocol):
    """A value that knows its memory."""

    @property
    def size_bytes(self) -> int:
        """Memory held."""


V = TypeVar("V", bound=Sizable)


class ByteBudget:
    """`used_bytes` of `limit_bytes`, under a lock that its caches share."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes, self.used_bytes, self.lock = limit_bytes, 0, threading.RLock()

    def take(self, size_bytes: int) -> bool:
        """Whether there is room for a value that no cache holds; if so it counts until it is given back."""
        with self.lock:
            fits = self.used_bytes + size_bytes <= self.limit_bytes
            self.used_bytes += size_bytes * fits
            return fits

    def give_back(self, size_bytes: int) -> None:
        """Free what was taken; also called by the garbage collector, in whichever thread."""
        with self.lock:
            self.used_bytes -= size_bytes


class ByteLimitedCache(Generic[V]):
    """Values of one kind within a budget."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget, self._values = budget, dict[Hashable, V]()

    def get(self, key: Hashable) -> V | None:
        """The value, or None."""
        return self._values.get(key)

    def put(self, key: Hashable, value: V) -> None:
        """Keep a value in place of an earlier one of that key, if the budget has room for it."""
        with self._budget.lock:
            before = self._values[key].size_bytes if key in self._values else 0
            used_bytes = self._budget.used_bytes - before + value.size_bytes
            if used_bytes <= self._budget.limit_bytes:
                self._values[key], self._budget.used_bytes = value, used_bytes

    def clear(self) -> int:
        """Forget every value; gives the bytes that are free again."""
        with self._budget.lock:
            size_bytes = sum(value.size_bytes for value in self._values.values())
            self._budget.used_bytes -= size_bytes
            self._values = {}
            return size_bytes
