"""Measures the seconds of each stage of a computation."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageTimer:
    """`seconds` by stage. While an inner stage runs, the outer one is not counted."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._last = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time in this context to `name`, except for that of inner stages."""
        self._lap()
        self._running.append(name)
        try:
            yield
        finally:
            self._lap()
            self._running.pop()

    def _lap(self) -> None:
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now
