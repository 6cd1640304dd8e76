"""The batches of an epoch: all positives and the chosen negatives, in an order born from (seed, epoch)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Floats, Index
from negsift.common.data.bagset import BagBatch
from negsift.common.protocols import Bags
from negsift.common.rng import generator
from negsift.common.types import Selection


@dataclass(frozen=True)
class Batch:
    """Bags with their labels (n,), int64, or float between 0 and 1 for mixtures, and loss weights (n,).

    `counts` is how many bags they stand for in the mean loss, n where that is None.
    """

    bags: BagBatch | Tensor
    label: Tensor
    weight: Tensor
    counts: float | None = None


@dataclass(frozen=True)
class BatchShare:
    """The `rank`-th of `of` equal runs of every batch, all of it by default."""

    rank: int = 0
    of: int = 1

    def part(self, size: int, make: Callable[[Index], Batch]) -> Batch:
        """What `make` gives of this share's places in a batch of `size`.

        Weights are such that the shares' mean losses have the whole batch's as their mean, whatever the lengths.
        A share without a place is the first bag, weighing nothing.
        """
        mine = np.arange(size * self.rank // self.of, size * (self.rank + 1) // self.of, dtype=np.int64)
        batch = make(mine if len(mine) else np.zeros(1, dtype=np.int64))
        return replace(batch, weight=batch.weight * (len(mine) * self.of / size), counts=size / self.of)


@dataclass(frozen=True)
class EpochSet:
    """S = S+ ∪ S-, the bags of one epoch, with the loss weight of each (|S|,)."""

    bags: Bags
    weight: Floats

    def batch(self, rows: Index) -> Batch:
        """Some of the bags."""
        label, weight = torch.from_numpy(self.bags.label[rows]), torch.from_numpy(self.weight[rows])
        return Batch(self.bags.gather(rows), label, weight.float())


@dataclass(frozen=True)
class Batches:
    """A share of the bags of `whole` in `order`, `size` at a time; the last batch may be smaller."""

    whole: EpochSet
    order: Index
    size: int
    share: BatchShare = field(default_factory=BatchShare)

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        return (self._part(self.order[start : start + self.size]) for start in self.starts)

    @property
    def starts(self) -> range:
        """Where in `order` each batch begins."""
        return range(0, len(self.order), self.size)

    def _part(self, rows: Index) -> Batch:
        return self.share.part(len(rows), lambda places: self.whole.batch(rows[places]))


def epoch_set(positives: Bags, pool: Bags, selection: Selection) -> EpochSet:
    """All positives, weighing 1 each, and the selected negatives with their own weights."""
    weight = np.concatenate([np.ones(len(positives)), selection.weight])
    return EpochSet(positives.joined(pool.subset(selection.index)), weight)


def epoch_order(label: Index, seed: int, epoch: int, weighted: bool) -> Index:
    """A permutation of the bags; or, `weighted`, as many draws with replacement, both labels equally likely."""
    random = generator(seed, "order", epoch)
    if not weighted:
        return random.permutation(len(label)).astype(np.int64)
    share = 1.0 / np.bincount(label, minlength=2)[label]
    return random.choice(len(label), size=len(label), p=share / share.sum()).astype(np.int64)
