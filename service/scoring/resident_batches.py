"""Batches that stay on a device between rounds, so that a pool that fits there is read and copied once."""

from collections.abc import Hashable
from dataclasses import dataclass

from torch import Tensor

from negsift.common.data.bagset import BagBatch, Batch
from negsift.service.scoring.byte_limited_cache import ByteBudget, ByteLimitedCache

_PART = 0.4
"""The part of a device's budget for batches; what else is kept there, points and features, is worth more a byte."""


@dataclass(frozen=True)
class KeptBatch:
    """A batch on a device, and its bytes."""

    batch: Batch
    size_bytes: int


class ResidentBatches:
    """Batches by key within a part of `budget`; without one nothing is kept. Only tensors and BagBatches are."""

    def __init__(self, budget: ByteBudget | None) -> None:
        self._room_bytes = 0 if budget is None else int(_PART * budget.limit_bytes)
        self._batches = ByteLimitedCache[KeptBatch](budget or ByteBudget(0))

    def has(self, key: Hashable) -> bool:
        """Whether the batch is kept."""
        return self._batches.get(key) is not None

    def present(self, key: Hashable, batch: Batch | None) -> Batch:
        """The batch on the device, which is kept from now on if there is room; or the kept one, if it was not read."""
        if batch is None:
            kept = self._batches.get(key)
            assert kept is not None  # else it would have been read
            return kept.batch
        tensor = batch.instances if isinstance(batch, BagBatch) else batch
        if isinstance(tensor, Tensor) and tensor.nbytes <= self._room_bytes and not self.has(key):
            self._batches.put(key, KeptBatch(batch, tensor.nbytes))
            self._room_bytes -= tensor.nbytes * self.has(key)
        return batch

    def clear(self) -> None:
        """Forget all batches."""
        self._room_bytes += self._batches.clear()
