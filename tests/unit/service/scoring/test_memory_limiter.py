"""Blocks that do not fit in memory: fewer at once, then an error that names the block; never smaller blocks."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from negsift.common.errors import ServiceError
from negsift.common.out_of_memory import lacks_memory
from negsift.service.scoring.memory_limiter import MemoryLimiter
from tests.unit.toys import MeanNet, cnn, select, shared_bag_set, vectors

ERRORS = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"),
    RuntimeError("not enough memory: you tried to allocate 99 bytes"),
]


class Memory:
    """Holds so many blocks at once, and says so where there is one more; counts the most there were."""

    def __init__(self, holds: int, error: Exception) -> None:
        self._holds, self._error, self._taken, self._lock = holds, error, 0, threading.Lock()
        self.most = 0

    def take(self, moment: threading.Barrier | None) -> str:
        with self._lock:
            self._taken += 1
            taken = self._taken
        try:
            if moment is not None:
                moment.wait()
            if taken > self._holds:
                raise self._error
            return "embedded"
        finally:
            with self._lock:
                self._taken -= 1


@pytest.mark.parametrize("error", ERRORS)
def test_blocks_that_fit_alone_are_embedded_one_at_a_time(error: Exception) -> None:
    room, memory, moment, first = MemoryLimiter(), Memory(1, error), threading.Barrier(4), threading.local()

    def work() -> str:
        together, first.over = (None if getattr(first, "over", False) else moment), True
        return memory.take(together)

    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(room.run, work, lambda: "a block") for number in range(4)]
    assert [each.result() for each in found] == ["embedded"] * 4


@pytest.mark.parametrize("error", ERRORS)
def test_a_block_that_does_not_fit_alone_is_named_with_the_knob(error: Exception) -> None:
    memory = Memory(0, error)
    with pytest.raises(ServiceError, match="no memory to embed block 7 .64 bags.*lower fleet.block"):
        MemoryLimiter().run(lambda: memory.take(None), lambda: "block 7 (64 bags)")


def test_other_errors_are_the_users_own_and_not_repeated() -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        MemoryLimiter().run(work, lambda: "block 7")
    assert len(calls) == 1
    assert not lacks_memory(ValueError("out of memory"))


class Hungry(MeanNet):
    """Finds no memory for any batch."""

    def forward(self, bags: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_block_that_does_not_fit_is_reported_with_its_size() -> None:
    with pytest.raises(ServiceError, match=r"block 0 of the pool \(8 bags\).*CUDA out of memory"):
        select(vectors([3] * 8), Hungry(), "entropy", 3, shards=1)


class HungryEncoder(torch.nn.Module):
    """Finds no memory for any instance."""

    def forward(self, instances: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_shared_instances_that_do_not_fit_are_reported_too() -> None:
    pool, model = shared_bag_set(40, 30), cnn()
    model.encoder = HungryEncoder()
    with pytest.raises(ServiceError, match=r"run 0 of the pool's instances \(\d+ of them\).*; start fewer scorers"):
        select(pool, model, "entropy", 3, shards=1)
