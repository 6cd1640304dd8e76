"""The batches of an epoch: all positives and the chosen negatives, in an order derived from (seed, epoch)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Floats, Index
from negsift.common.data.bagset import BagBatch
from negsift.common.data.protocols import LabelledBags
from negsift.common.rng import generator
from negsift.common.types import Selection
from negsift.trainer.config import TrainingConfig
from negsift.trainer.epoch_positives import ChosenPositives


@dataclass(frozen=True)
class TrainingBatch:
    """Bags with labels (n,), which are int64 or, for mixtures, floats between 0 and 1, and loss weights (n,).

    `bag_count` is the number of bags that the batch represents in the epoch's mean loss, by default n. `row` (n,) has
    the bags' positions in the epoch's set, `offset` (n,) what is added to their log-odds in the loss.
    """

    bags: BagBatch | Tensor
    label: Tensor
    weight: Tensor
    bag_count: float | None = None
    row: Index | None = None
    offset: Tensor | None = None


@dataclass(frozen=True)
class BatchShare:
    """The part of every batch that worker `rank` of `workers` trains on, by default all of it."""

    rank: int = 0
    workers: int = 1

    def part(self, size: int, make: Callable[[Index], TrainingBatch]) -> TrainingBatch:
        """The batch that `make` returns for this worker's places in a whole batch of `size` bags.

        Weights are scaled so that the mean of the workers' mean losses is that of the whole batch, for parts of any
        size. A worker without a place gets the first bag with weight 0, since DDP needs every worker to take part.
        """
        first, last = size * self.rank // self.workers, size * (self.rank + 1) // self.workers
        batch = make(np.arange(first, last) if last > first else np.zeros(1, dtype=np.int64))
        weight = batch.weight * ((last - first) * self.workers / size)
        return replace(batch, weight=weight, bag_count=size / self.workers)


@dataclass(frozen=True)
class EpochSet:
    """The bags of one epoch, S = S+ ∪ S-, with the loss weight of each (|S|,), and the `offset` of its log-odds."""

    bags: LabelledBags
    weight: Floats
    offset: Floats | None = None

    def batch(self, rows: Index) -> TrainingBatch:
        """The bags at `rows`."""
        label, weight = torch.from_numpy(self.bags.label[rows]), torch.from_numpy(self.weight[rows])
        offset = None if self.offset is None else torch.from_numpy(self.offset[rows]).float()
        return TrainingBatch(self.bags.gather(rows), label, weight.float(), row=rows, offset=offset)


@dataclass(frozen=True)
class EpochBatches:
    """A worker's share of the bags of `epoch_set` in `order`, in batches of `size`; the last one may be smaller."""

    epoch_set: EpochSet
    order: Index
    size: int
    share: BatchShare = field(default_factory=BatchShare)

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[TrainingBatch]:
        return (self._part(self.order[start : start + self.size]) for start in self.starts)

    @property
    def starts(self) -> range:
        """The place in `order` where each batch begins."""
        return range(0, len(self.order), self.size)

    def _part(self, rows: Index) -> TrainingBatch:
        return self.share.part(len(rows), lambda places: self.epoch_set.batch(rows[places]))


def epoch_set(
    positives: ChosenPositives, pool: LabelledBags, selection: Selection, share: float | None = None,
    offset: Floats | None = None,
) -> EpochSet:  # fmt: skip
    """The chosen positives and the selected negatives, each with its own weight or, with an `offset` (|S|,), negatives
    with weight 1.

    With a `share` the negatives weigh so many times what the positives do, and all bags 1 on average.
    """
    ours, theirs = positives.weight, selection.weight if offset is None else np.ones(len(selection.index))
    weight = np.concatenate([ours, theirs])
    if share is not None and ours.sum() > 0 and theirs.sum() > 0:
        weight[len(ours) :] *= share * ours.sum() / theirs.sum()
        weight /= weight.mean()
    return EpochSet(positives.bags.joined(pool.subset(selection.index)), weight, offset)


def epoch_order(label: Index, seed: int, epoch: int, config: TrainingConfig) -> Index:
    """A permutation of the bags; or, if `weighted`, as many draws with replacement, both labels equally likely.

    In a `stratified` one any run of bags has both labels in the proportion of all, to one bag.
    """
    random = generator(seed, "order", epoch)
    if not config.weighted:
        order = random.permutation(len(label)).astype(np.int64)
        return interleaved(order, label) if config.stratified else order
    share = 1.0 / np.bincount(label, minlength=2)[label]
    return random.choice(len(label), size=len(label), p=share / share.sum()).astype(np.int64)


def interleaved(order: Index, label: Index) -> Index:
    """The bags of each label in `order`, spread evenly over it."""
    place = np.empty(len(order))
    for value in (0, 1):
        rows = np.flatnonzero(label[order] == value)
        place[rows] = (np.arange(len(rows)) + 0.5) / max(1, len(rows))
    return order[np.argsort(place, kind="stable")]
