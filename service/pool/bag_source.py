"""A dataset of bags as a shard reads it: the bags at given positions, as one batch that the model takes."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch, BagSet, Batch
from negsift.common.data.hub_bags import HubBags, is_hub_dataset
from negsift.common.data.packed_bags import PackedBags, in_memory, to_send
from negsift.common.data.protocols import BagDataset
from negsift.common.data.reused_buffer import ReusedBuffer
from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.row_group_stream import RowGroupStream, split_bags
from negsift.common.errors import BadData, BadInput
from negsift.service.pool.blocks import block_count, share_blocks

Collate = Callable[[Sequence[Any]], Any]  # Any: the user's own form of a bag, and of a batch


@runtime_checkable
class ManyAtOnce(Protocol):
    """A dataset that fetches many items in one call, as torch's DataLoader would."""

    def __getitems__(self, positions: list[int], /) -> Sequence[object]:
        """The items at these positions, in that order."""


@dataclass(frozen=True)
class BagSource:
    """A map-style dataset of bags and the way to batch them.

    `collate` turns items into what the model takes. Without it bags are laid end to end in a BagBatch if
    `ragged`, else stacked into one tensor (n, instances, ...).
    """

    dataset: BagDataset
    collate: Collate | None = None
    ragged: bool = True

    @classmethod
    def of(cls, dataset: BagDataset, collate: Collate | None, ragged: bool) -> Self:
        """A source of a dataset that a user gives, which is read as one array where it is one in memory. Without
        `collate`, the rows of a `datasets.Dataset` are bags.
        """
        dataset = HubBags.of(dataset) if collate is None and is_hub_dataset(dataset) else dataset
        packs = collate is None or not isinstance(dataset, (TensorDataset, Subset))  # whose items are more than the bag
        return cls(in_memory(dataset) if packs else dataset, collate, ragged)

    def __post_init__(self) -> None:
        collate: object = self.collate
        if collate is not None and not callable(collate):
            raise BadInput(f"collate={collate!r}", "a function", "give one that makes a batch of a list of items")

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def is_array(self) -> bool:
        """Whether a batch is a part of one array in memory, (n, instances, ...)."""
        bags = self.dataset
        return isinstance(bags, PackedBags) and bags.equal and self.collate is None and not self.ragged

    def batch(self, index: Index) -> Batch:
        """The bags at `index`; raises BadData naming the first bag whose shape doesn't fit the others."""
        if isinstance(self.dataset, BagSet) and self.collate is None and self.ragged:
            return self.dataset.gather(index)
        if isinstance(self.dataset, PackedBags) and self.collate is None and (self.ragged or self.dataset.equal):
            return self.dataset.gather(index, self.ragged)
        items: Sequence[object]
        if isinstance(self.dataset, (TableBags, RowGroupStream)):
            batch = self.dataset.gather(index)
            if self.collate is None and isinstance(batch, BagBatch) == self.ragged:
                return batch
            items = split_bags(batch)
        else:
            items = items_at(self.dataset, index)
        if self.collate is not None:
            collated: Batch = self.collate(items)
            return collated
        stacked = None if self.ragged else _stacked(items)
        if stacked is not None and stacked.shape[1:] == self._first.shape:
            return stacked
        bags = [self._fitting_bag(item, int(position)) for item, position in zip(items, index, strict=True)]
        if not self.ragged:
            return torch.stack(bags)
        return BagBatch(torch.cat(bags), np.array([len(bag) for bag in bags], dtype=np.int64))

    def copy_into(self, buffer: ReusedBuffer, index: Index) -> Tensor:
        """The bags at `index` of a source that `is_array`, in this thread's memory of `buffer`, until its next use."""
        assert isinstance(self.dataset, PackedBags)
        return self.dataset.copy_into(buffer, index)

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        """What is sent to other processes: a source of the same bags, without what else their tensors are views of."""
        return {"dataset": to_send(self.dataset), "collate": self.collate, "ragged": self.ragged}

    def share(self, share: tuple[int, int], block: int, budget: DecodingBudget) -> tuple["BagSource", range]:
        """The blocks of share `share[0]` of `share[1]` and a source for them; a table's bags stay within `budget`."""
        blocks = share_blocks(block_count(len(self), block), share[1])[share[0]]
        if not isinstance(self.dataset, TableBags):
            return self, blocks
        positions = range(blocks.start * block, min(blocks.stop * block, len(self)))
        return dataclasses.replace(self, dataset=RowGroupStream(self.dataset.row_index, positions, budget)), blocks

    @functools.cached_property
    def shared_instances(self) -> BagSet | None:
        """The bags as views of a table of instances, if an instance is in more than one of them, else None."""
        if isinstance(self.dataset, BagSet) and self.collate is None and self.dataset.shares_instances:
            return self.dataset
        return None

    @functools.cached_property
    def _first(self) -> Tensor:
        """The bag whose shape all other bags must fit, whichever block they are in."""
        return as_bag(self.dataset[0], 0)

    def _fitting_bag(self, item: object, position: int) -> Tensor:
        bag = as_bag(item, position)
        first, other_instances = self._first, bag.shape[1:] != self._first.shape[1:]
        if other_instances or (not self.ragged and bag.shape != first.shape):
            raise BadData(
                f"item {position} of shape {tuple(bag.shape)} beside item 0 of {tuple(first.shape)}",
                "instances of one shape" if self.ragged else "bags of one shape",
                "repair the item" if other_instances else "give collate=, or a BagClassifier for ragged bags",
            )
        return bag


def items_at(dataset: BagDataset, index: Index) -> Sequence[object]:
    """The items at `index`, fetched at once from a dataset with torch's `__getitems__`."""
    positions = index.tolist()
    if isinstance(dataset, ManyAtOnce):
        return dataset.__getitems__(positions)
    return [dataset[position] for position in positions]


def _stacked(items: Sequence[object]) -> Tensor | None:
    """The items as one tensor, if they are tensors of one shape."""
    tensors = [item for item in items if type(item) is Tensor]
    if len(tensors) < len(items) or len({tensor.shape for tensor in tensors}) > 1:
        return None
    return torch.stack(tensors)


def as_bag(item: object, position: int) -> Tensor:
    """The bag's tensor: the item, or the first of a tuple without names; raises BadData for anything else, an empty
    bag, or a list of instances.
    """
    if _is_list_of_instances(item):
        raise BadData(f"a list of tensors as item {position}", "one tensor", "stack the instances of a bag")
    first = item[0] if isinstance(item, (tuple, list)) and item and not hasattr(item, "_fields") else item
    bag = _as_tensor(first, position) if isinstance(first, np.ndarray) else first
    if isinstance(bag, Tensor) and bag.ndim >= 2 and not len(bag):
        raise BadData(f"no instance in item {position}", "at least one in every bag", "leave the bag out")
    if not isinstance(bag, Tensor) or bag.ndim < 2:
        form = f"shape {tuple(bag.shape)}" if isinstance(bag, Tensor) else type(first).__name__
        raise BadData(
            f"{form} as item {position}", "a tensor (instances, ...), or a tuple beginning with one",
            "give collate= for bags of your own form",
        )  # fmt: skip
    if bag.layout != torch.strided:
        raise BadData(f"a sparse tensor as item {position}", "a dense one", "give to_dense(), or collate=")
    return bag


def _as_tensor(bag: NDArray[np.generic], position: int) -> Tensor:
    """The array as a tensor, in this machine's byte order; raises BadData for anything but numbers."""
    if bag.dtype.kind not in "biufc":
        raise BadData(f"an array of {bag.dtype} as item {position}", "numbers", "give it as float32")
    native = bag.astype(bag.dtype.newbyteorder("="), copy=not bag.flags.writeable)
    return torch.from_numpy(native)


def _is_list_of_instances(item: object) -> bool:
    """Whether an item is a list of several tensors of one form, of which the first must not be taken for the bag."""
    arrays = (Tensor, np.ndarray)
    return (
        isinstance(item, list)
        and len(item) > 1
        and all(isinstance(each, arrays) and each.shape[1:] == item[0].shape[1:] for each in item)
    )
