"""A pool as the shards see it: bags at given positions, as one batch the model takes."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch, BagSet
from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.row_group_stream import RowGroupStream, split_bags
from negsift.common.errors import BadData
from negsift.common.protocols import Sized
from negsift.service.pool.blocks import block_count, share_blocks
from negsift.service.scoring.scoring_config import ScoringConfig

Collate = Callable[[Sequence[Any]], Any]  # Any: the user's own form of a bag


@dataclass(frozen=True)
class BagSource:
    """A map-style dataset of bags with a way to batch them.

    `collate` turns items into what the model takes; without it bags are laid end to end in a
    BagBatch if `ragged`, else stacked into one tensor (n, instances, ...).
    """

    dataset: Sized
    collate: Collate | None = None
    ragged: bool = True

    def __len__(self) -> int:
        return len(self.dataset)

    def batch(self, index: Index) -> Any:  # Any: what `collate` makes
        """The bags at `index`; raises BadData naming the bag that doesn't fit the others."""
        if isinstance(self.dataset, BagSet) and self.collate is None and self.ragged:
            return self.dataset.gather(index)
        if isinstance(self.dataset, (TableBags, RowGroupStream)):
            batch = self.dataset.gather(index)
            if self.collate is None and isinstance(batch, BagBatch) == self.ragged:
                return batch
            items = split_bags(batch)
        else:
            items = [self.dataset[int(position)] for position in index]
        if self.collate is not None:
            return self.collate(items)
        return self._lay_out([as_bag(item, int(at)) for item, at in zip(items, index, strict=True)], index)

    def share(self, share: tuple[int, int], block: int, budget: DecodingBudget) -> tuple["BagSource", range]:
        """The blocks of share `share[0]` of `share[1]`, and the bags for them: those of a table within `budget`."""
        blocks = share_blocks(block_count(len(self), block), share[1])[share[0]]
        if not isinstance(self.dataset, TableBags):
            return self, blocks
        span = range(blocks.start * block, min(blocks.stop * block, len(self)))
        return dataclasses.replace(self, dataset=RowGroupStream(self.dataset.row_index, span, budget)), blocks

    @functools.cached_property
    def _first(self) -> Tensor:
        """The bag that all others must fit, whichever block they are in."""
        return as_bag(self.dataset[0], 0)

    def _lay_out(self, bags: Sequence[Tensor], index: Index) -> BagBatch | Tensor:
        first, whole = self._first, not self.ragged
        for bag, position in zip(bags, index, strict=True):
            odd = bag.shape[1:] != first.shape[1:]
            if odd or (whole and bag.shape != first.shape):
                raise BadData(
                    f"item {position} of shape {tuple(bag.shape)} beside item 0 of {tuple(first.shape)}",
                    "bags of one shape" if whole else "instances of one shape",
                    "repair the item" if odd else "give collate=, or a BagClassifier for ragged bags",
                )
        if whole:
            return torch.stack(list(bags))
        return BagBatch(torch.cat(list(bags)), np.array([len(bag) for bag in bags], dtype=np.int64))


def as_bag(item: Any, position: int) -> Tensor:  # Any: the user's own form of a bag
    """The bag's tensor: the item, or the first of a tuple; raises BadData for anything else, or an empty bag."""
    first = item[0] if isinstance(item, (tuple, list)) and item else item
    bag = torch.from_numpy(first if first.flags.writeable else first.copy()) if isinstance(first, np.ndarray) else first
    if not isinstance(bag, Tensor) or bag.ndim < 2 or not len(bag):
        found = f"shape {tuple(bag.shape)}" if isinstance(bag, Tensor) else type(first).__name__
        raise BadData(
            f"{found} as item {position}",
            "a tensor (instances, ...), or a tuple beginning with one",
            "give collate= for bags of your own form",
        )
    return bag


def move(batch: Any, device: torch.device, how: ScoringConfig) -> Any:  # Any: what the user's collate makes
    """The batch with every tensor in it on `device`, laid out as configured."""
    if isinstance(batch, BagBatch):
        return BagBatch(move(batch.instances, device, how), batch.sizes)
    if isinstance(batch, Tensor):
        return _move_tensor(batch, device, how)
    if isinstance(batch, (tuple, list)):
        return type(batch)(move(part, device, how) for part in batch)
    return {key: move(part, device, how) for key, part in batch.items()} if isinstance(batch, dict) else batch


def _move_tensor(tensor: Tensor, device: torch.device, how: ScoringConfig) -> Tensor:
    pinned = how.pinned and device.type == "cuda"
    moved = (tensor.pin_memory() if pinned else tensor).to(device, non_blocking=True)
    images = how.channels_last and moved.ndim == 4
    return moved.contiguous(memory_format=torch.channels_last) if images else moved
