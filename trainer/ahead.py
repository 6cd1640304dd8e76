"""Batches prepared while the device trains on earlier ones."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from torch import Tensor

from negsift.common.data.bagset import BagBatch
from negsift.trainer.loader import TrainingBatch

_AHEAD = 3
"""Batches that are ready or being prepared, so that one slow batch is no pause."""


def prepared_ahead(batches: Iterator[TrainingBatch], pin: Callable[[Tensor], Tensor]) -> Iterator[TrainingBatch]:
    """The batches in their order, prepared by a thread, and `pin` of each tensor in them.

    One thread prepares them all, since an augmentation may draw from torch's generator. What it raises is raised here,
    after the batches before; it ends with the iteration.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="negsift-batches") as thread:
        pending: deque[Future[TrainingBatch | None]] = deque()
        try:
            while True:
                while len(pending) < _AHEAD:
                    pending.append(thread.submit(lambda: _next(batches, pin)))
                batch = pending.popleft().result()
                if batch is None:
                    return
                yield batch
        finally:
            for future in pending:
                future.cancel()


def _next(batches: Iterator[TrainingBatch], pin: Callable[[Tensor], Tensor]) -> TrainingBatch | None:
    batch = next(batches, None)
    if batch is None:
        return None
    bags = batch.bags
    placed = BagBatch(pin(bags.instances), bags.sizes) if isinstance(bags, BagBatch) else pin(bags)
    return replace(batch, bags=placed, label=pin(batch.label), weight=pin(batch.weight))
