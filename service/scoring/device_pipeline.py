"""Blocks computed by a device that never waits: they are read, copied, computed and fetched at the same time.

Threads read blocks ahead of need into page-locked memory. One thread, the caller's, asks the device for one block after
another. Results stay on the device until there are enough of them to be worth one wait.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from negsift.common.arrays import Array
from negsift.common.data.bagset import Batch
from negsift.common.out_of_memory import lacks_memory
from negsift.service.scoring.batch_device import pinned, uploaded
from negsift.service.scoring.block_map import map_blocks
from negsift.service.scoring.device_lanes import Download, Lanes, Mark
from negsift.service.scoring.memory_limiter import too_large
from negsift.service.scoring.scoring_config import ScoringConfig

log = logging.getLogger(__name__)

T = TypeVar("T")
READERS = 6
"""Threads that read for one device at most, and blocks that are read before the device is asked for them."""
_ON_DEVICE = 3
"""Blocks that the device has been asked for and has not computed: enough that it has the next one when one is done."""
_BLOCKS_AT_ONCE, _BYTES_AT_ONCE = 16, 16 << 20
"""Results that are fetched together, whichever is reached first."""


@dataclass(frozen=True)
class Ready(Generic[T]):
    """A block's result without the device, say because it is kept."""

    value: T


@dataclass(frozen=True)
class BlockSteps(Generic[T]):
    """What is done with block number i: `read` it (in any thread), ask the device to compute `forward`, and make its
    result of the arrays that come back. `name` and `remedy` are for the error where it is too large, and `relieve`
    frees the memory of the device that can be done without.
    """

    read: Callable[[int], Batch | Ready[T] | None]
    forward: Callable[[int, Batch | None], Sequence[Tensor] | Ready[T]]
    finish: Callable[[int, Sequence[Array]], T]
    name: Callable[[int], str]
    remedy: str
    relieve: Callable[[], None] = lambda: None


class DevicePipeline:
    """Runs steps over blocks on the device of `lanes`; the threads of `readers` are the caller's."""

    def __init__(self, lanes: Lanes, readers: Executor, config: ScoringConfig) -> None:
        self._lanes, self._readers, self._config = lanes, readers, config
        self._alone = threading.Lock()

    def run(self, blocks: Sequence[int], steps: BlockSteps[T], share: tuple[int, int]) -> Iterator[T]:
        """The results of the blocks, in their order; a terminal shows a bar for shard `share`.

        What a step raises is raised unchanged, after the results of earlier blocks or without them. Raises ServiceError
        for a block that doesn't fit in the device's memory with nothing beside it. Reading stops with the iteration.
        """
        outbox = _Outbox(self._lanes, steps)
        reads = map_blocks(self._readers, lambda block: self._read(steps, block), blocks, share, READERS)
        with closing(reads):
            for block, read in zip(blocks, reads, strict=True):
                result = read if isinstance(read, Ready) else self._computed(steps, block, read, outbox)
                outbox.add(block, result)
                yield from outbox.arrived()
            yield from outbox.rest()

    def _read(self, steps: BlockSteps[T], block: int) -> Batch | Ready[T] | None:
        """The block in page-locked memory, or in other memory if there is no more of that; a second time with no other
        block that is short of memory beside it.
        """
        try:
            batch = steps.read(block)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            batch = self._read_alone(steps, block)
        if batch is None or isinstance(batch, Ready):
            return batch
        try:
            return pinned(batch, self._lanes.pin)
        except RuntimeError as error:
            if not lacks_memory(error):
                raise
            return batch

    def _read_alone(self, steps: BlockSteps[T], block: int) -> Batch | Ready[T] | None:
        with self._alone:
            try:
                return steps.read(block)
            except (MemoryError, RuntimeError) as error:
                if not lacks_memory(error):
                    raise
                raise too_large(steps.name(block), steps.remedy, error) from error

    def _computed(
        self, steps: BlockSteps[T], block: int, batch: Batch | None, outbox: "_Outbox[T]"
    ) -> Sequence[Tensor] | Ready[T]:
        """What the device has been asked for; a second time with nothing else on it where memory ran out."""
        try:
            return self._ask(steps, block, batch)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
        log.warning("no memory for %s; tried again with nothing beside it", steps.name(block))
        outbox.fetch_all()
        steps.relieve()
        self._lanes.release()
        try:
            return self._ask(steps, block, batch)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            raise too_large(steps.name(block), steps.remedy, error) from error

    def _ask(self, steps: BlockSteps[T], block: int, batch: Batch | None) -> Sequence[Tensor] | Ready[T]:
        with self._lanes.running():
            on_device = None if batch is None else uploaded(batch, self._lanes, self._config)
            return steps.forward(block, on_device)


class _Outbox(Generic[T]):
    """Results in the order of their blocks: on the device, on their way, or there."""

    def __init__(self, lanes: Lanes, steps: BlockSteps[T]) -> None:
        self._lanes, self._steps = lanes, steps
        self._marks: deque[Mark] = deque()
        self._waiting: list[tuple[int, Sequence[Tensor] | Ready[T]]] = []
        self._waiting_bytes = 0
        self._coming: deque[tuple[list[tuple[int, Sequence[Tensor] | Ready[T]]], Download]] = deque()
        self._there: deque[T] = deque()

    def add(self, block: int, result: Sequence[Tensor] | Ready[T]) -> None:
        """Take what the device has been asked for, and wait for an earlier block if that is too far ahead of it."""
        self._waiting.append((block, result))
        if not isinstance(result, Ready):
            self._waiting_bytes += sum(part.nbytes for part in result)
            self._marks.append(self._lanes.mark())
            if len(self._marks) > _ON_DEVICE:
                self._marks.popleft().synchronize()
        if len(self._waiting) >= _BLOCKS_AT_ONCE or self._waiting_bytes >= _BYTES_AT_ONCE:
            self._send()

    def arrived(self) -> Iterator[T]:
        """Results of blocks before those that are on their way: the device has others to compute meanwhile."""
        while len(self._coming) > 1:
            self._receive()
        while self._there:
            yield self._there.popleft()

    def rest(self) -> Iterator[T]:
        """All other results."""
        self.fetch_all()
        yield from self.arrived()

    def fetch_all(self) -> None:
        """Wait for everything that is on the device."""
        self._send()
        while self._coming:
            self._receive()
        self._marks.clear()

    def _send(self) -> None:
        if self._waiting:
            rows = [result for _, result in self._waiting if not isinstance(result, Ready)]
            self._coming.append((self._waiting, self._lanes.download(rows)))
            self._waiting, self._waiting_bytes = [], 0

    def _receive(self) -> None:
        entries, download = self._coming.popleft()
        arrays = iter(download.arrays())
        for block, result in entries:
            self._there.append(result.value if isinstance(result, Ready) else self._steps.finish(block, next(arrays)))
