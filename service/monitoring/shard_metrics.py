"""What a scorer exports of itself, from its own process, so that it is told during a round as well."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from negsift.service.monitoring.exporter import Exporter
from negsift.service.monitoring.gpu_memory import gpu_bytes


class ShardMetrics:
    """The series of one scorer; `memory` gives the bytes of its process and of its kept embeddings."""

    def __init__(self, exporter: Exporter, service: str, shard: str, memory: Callable[[], tuple[int, int]]) -> None:
        self._exporter, self._memory, self._labels = exporter, memory, {"service": service, "shard": shard}
        self._count(0, 0.0)
        exporter.watch(self._measure)

    @contextmanager
    def request(self, embedded: Callable[[], int]) -> Iterator[None]:
        """Count the work of a request in this context; `embedded` gives the bags embedded so far."""
        begun, before = time.monotonic(), embedded()
        try:
            yield
        finally:
            self._count(embedded() - before, time.monotonic() - begun)

    def _count(self, bags: int, seconds: float) -> None:
        self._exporter.add("negsift_shard_bags_embedded_total", bags, **self._labels)
        self._exporter.add("negsift_shard_busy_seconds_total", seconds, **self._labels)

    def _measure(self) -> None:
        memory_bytes, kept_bytes = self._memory()
        self._exporter.set("negsift_shard_memory_bytes", memory_bytes, **self._labels)
        self._exporter.set("negsift_shard_kept_bytes", kept_bytes, **self._labels)
        held_bytes = gpu_bytes()
        if held_bytes is not None:
            self._exporter.set("negsift_shard_gpu_memory_bytes", held_bytes, **self._labels)
