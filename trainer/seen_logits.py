"""The logits of an epoch's bags as training saw them, and how much each negative looked like a positive."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from negsift.common.arrays import Array, Floats, Index
from negsift.common.models.embed import on_device_of
from negsift.trainer.loader import TrainingBatch
from negsift.trainer.worker_group import WorkerGroup


@dataclass(frozen=True)
class SeenEpoch:
    """The `logits` (n, K) of the bags at `row` (n,) of an epoch's set, which begins with so many `positives`.

    A bag is there once for every step that it was in.
    """

    row: Index
    logits: Array
    positives: int

    @property
    def negative(self) -> Index:
        """The places in the selection of the negatives seen, (m,)."""
        return self.row[self.row >= self.positives] - self.positives

    @property
    def of_negatives(self) -> Array:
        """The logits of the negatives seen, (m, K)."""
        return self.logits[self.row >= self.positives]

    def margin(self, k: int) -> Floats:
        """How far the log-odds of each of the k negatives lie above the middle between those of the median positive
        and the median negative, (k,); above 0 it looks more like a positive.

        NaN for bags that were not seen, and for all where the medians are not apart in that order.
        """
        odds = self.logits[:, 1].astype(np.float64) - self.logits[:, 0]
        positive, margin = self.row < self.positives, np.full(k, np.nan)
        if 0 < positive.sum() < len(positive):
            medians = np.median(odds[positive]), np.median(odds[~positive])
            if medians[0] > medians[1]:
                margin[self.negative] = odds[~positive] - (medians[0] + medians[1]) / 2
        return margin


class SeenLogits:
    """Collects logits of the bags in an epoch's batches, but for mixtures of clips of both labels."""

    def __init__(self, positives: int) -> None:
        self._positives = positives
        self._parts: list[tuple[Index, Tensor]] = []

    def add(self, batch: TrainingBatch, logits_NK: Tensor) -> None:
        """Take the logits (n, K) of a batch."""
        assert batch.row is not None  # of batches of an epoch's set
        own = np.flatnonzero(batch.label.numpy() == (batch.row < self._positives))
        if len(own):
            self._parts.append((batch.row[own], logits_NK[on_device_of(logits_NK, own)]))

    def gathered(self, group: WorkerGroup) -> SeenEpoch:
        """The logits that all workers saw, on rank 0."""
        row = np.concatenate([_NOTHING[0], *(row for row, _ in self._parts)])
        logits = np.concatenate([_NOTHING[1], *(part.float().cpu().numpy() for _, part in self._parts)])
        rows, all_logits = zip(*(group.gathered((row, logits)) or [_NOTHING]), strict=True)
        return SeenEpoch(np.concatenate(rows), np.concatenate(all_logits), self._positives)


_NOTHING = np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
