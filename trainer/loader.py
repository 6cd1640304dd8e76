"""The batches of an epoch: all positives and the chosen negatives, in an order born from (seed, epoch)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from common.data.bagset import BagBatch
from common.protocols import Bags
from common.rng import generator
from common.types import Floats, Index, Selection


@dataclass(frozen=True)
class Batch:
    """Bags with their labels (n,), int64, or float between 0 and 1 for mixtures, and loss weights (n,)."""

    bags: BagBatch | Tensor
    label: Tensor
    weight: Tensor


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
    """The bags of `whole` in `order`, `size` at a time; the last batch may be smaller."""

    whole: EpochSet
    order: Index
    size: int

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        starts = range(0, len(self.order), self.size)
        return (self.whole.batch(self.order[start : start + self.size]) for start in starts)


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
