"""Values kept by key within a budget of bytes, for several threads."""

import threading
from collections.abc import Hashable
from typing import Any


class ByteLimitedCache:
    """What doesn't fit is not kept. Keys come in layers, which are let go of whole."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._values: dict[str, dict[Hashable, tuple[Any, int]]] = {}  # Any: whatever is kept
        self._size_bytes, self._lock = 0, threading.Lock()

    @property
    def size_bytes(self) -> int:
        """What is kept takes so much."""
        return self._size_bytes

    def find(self, layer: str, key: Hashable) -> Any:  # Any: as above
        """The value, or None."""
        found = self._values.get(layer, {}).get(key)
        return None if found is None else found[0]

    def keep(self, layer: str, key: Hashable, value: Any, size_bytes: int) -> None:  # Any: as above
        """Keep a value of so many bytes if there is room for it, in place of an earlier one."""
        with self._lock:
            held = self._values.setdefault(layer, {})
            before = held[key][1] if key in held else 0
            if self._size_bytes - before + size_bytes <= self.limit_bytes:
                held[key] = value, size_bytes
                self._size_bytes += size_bytes - before

    def forget(self, layer: str) -> None:
        """Let go of a layer."""
        with self._lock:
            gone = self._values.pop(layer, {})
            self._size_bytes -= sum(size for _, size in gone.values())

    def clear(self) -> None:
        """Let go of everything."""
        for layer in list(self._values):
            self.forget(layer)
