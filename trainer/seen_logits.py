"""The logits of the negatives of an epoch, as training saw them."""

import numpy as np
from torch import Tensor

from negsift.common.arrays import Array, Index
from negsift.common.types import Selection
from negsift.trainer.loader import TrainingBatch
from negsift.trainer.worker_group import WorkerGroup


class SeenLogits:
    """Collects logits of the negatives in an epoch's batches, whose set begins with so many `positives`.

    A mixture of clips counts for none of them.
    """

    def __init__(self, positives: int, selection: Selection) -> None:
        self._positives, self._selection = positives, selection
        self._parts: list[tuple[Index, Tensor]] = []

    def add(self, batch: TrainingBatch, logits_NK: Tensor) -> None:
        """Take the logits (n, K) of a batch."""
        assert batch.row is not None  # of batches of an epoch's set
        negative = np.flatnonzero((batch.row >= self._positives) & (batch.label.numpy() == 0))
        if len(negative):
            self._parts.append((batch.row[negative] - self._positives, logits_NK[negative]))

    def gathered(self, group: WorkerGroup) -> tuple[Index, Array]:
        """Positions in the pool (n,) and logits (n, K) of all workers, on rank 0; of the last of its steps for each."""
        row = np.concatenate([_NOTHING[0], *(row for row, _ in self._parts)])
        logits = np.concatenate([_NOTHING[1], *(part.float().cpu().numpy() for _, part in self._parts)])
        rows, all_logits = zip(*(group.gathered((row, logits)) or [_NOTHING]), strict=True)
        return self._selection.index[np.concatenate(rows)], np.concatenate(all_logits)


_NOTHING = np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
