"""An epoch as a dataset, for loops that are not ours: all positives, and the negatives chosen last."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from negsift.common.arrays import Index
from negsift.common.data.protocols import BagDataset
from negsift.common.errors import BadInput
from negsift.common.types import Selection


class EpochBags(Dataset[Any]):  # Any: the user's own form of a bag
    """A map-style dataset of the bags of `positives` (label 1) and of k bags of `pool` (label 0), which `refresh` sets.

    An item is (bag, label, weight), without a label that the bag came with in a tuple; a named tuple is a bag as it is.
    Where the bags are dicts, it is the dict with `label` and `weight` set. The positions lie in shared memory, so that
    DataLoader workers, persistent ones too, see every refresh; its length stays the same, as samplers expect.
    """

    def __init__(self, positives: BagDataset, pool: BagDataset, k: int) -> None:
        """Raises BadInput for a path in place of bags, and unless the pool has k of them."""
        for name, bags in (("positives", positives), ("pool", pool)):
            if isinstance(bags, (str, bytes, PathLike)):
                remedy = "open the table: open_pool(PATH, label), open_positives(PATH, label)"
                raise BadInput(f"{name}={bags!r}", "a map-style dataset of bags", remedy)
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 0 <= k <= len(pool):
            raise BadInput(f"k={k!r}", f"a whole number between 0 and {len(pool)}, the size of the pool", "correct k=")
        self.positives, self.pool = positives, pool
        self._index, self._weight = torch.full((int(k),), -1, dtype=torch.int64), torch.ones(int(k))
        for values in (self._index, self._weight):
            values.share_memory_()  # type: ignore[no-untyped-call]  # torch's stub

    def __len__(self) -> int:
        return len(self.positives) + len(self._index)

    def __getitem__(self, position: int) -> Any:  # Any: as above
        """One item. Raises IndexError, and BadInput for a negative before the first refresh."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"item {position} of {len(self)}")
        return self.__getitems__([position % len(self)])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[Any]:  # Any: as above
        """The items at `positions`. torch's DataLoader calls this to fetch a whole batch."""
        first = len(self.positives)
        places = [int(position) - first for position in positions]
        chosen = {place: int(self._index[place]) for place in places if place >= 0}
        if -1 in chosen.values():
            raise BadInput("an epoch without negatives", "a selection", "call refresh(sampler.select(...)) before it")
        positives = iter(_items(self.positives, [place + first for place in places if place < 0]))
        negatives = iter(_items(self.pool, [chosen[place] for place in places if place >= 0]))
        return [
            _labelled(next(positives), 1, torch.ones(())) if place < 0
            else _labelled(next(negatives), 0, self._weight[place].clone())
            for place in places
        ]  # fmt: skip

    @property
    def index(self) -> Index:
        """The positions of the negatives in the pool, (k,); -1 before the first refresh."""
        index: Index = self._index.numpy().copy()
        return index

    def refresh(self, selection: Selection) -> None:
        """Take the selection's negatives and weights. Batches that workers fetched before keep theirs.

        Raises BadInput for a selection of another number of bags, and for what is none.
        """
        given: object = selection
        if not isinstance(given, Selection):
            found = f"a {type(given).__name__} in place of a selection"
            raise BadInput(found, "what a sampler's select gives", "call refresh(sampler.select(...))")
        self._set(torch.tensor(selection.index), torch.tensor(selection.weight))

    def state_dict(self) -> dict[str, Tensor]:
        """The negatives and their weights now."""
        return {"index": self._index.clone(), "weight": self._weight.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take those of a `state_dict`; raises BadInput for one of another k or pool."""
        self._set(state["index"], state["weight"])

    def _set(self, index: Tensor, weight: Tensor) -> None:
        if len(index) != len(self._index):
            found = f"a selection of {len(index)} bags"
            raise BadInput(found, f"{len(self._index)}, as k= says", "give sampler and EpochBags the same k")
        if len(index) and not -1 <= int(index.min()) <= int(index.max()) < len(self.pool):
            found = f"positions {int(index.min())} to {int(index.max())}"
            raise BadInput(found, f"0 to {len(self.pool) - 1}", "select from the pool of these bags")
        self._index.copy_(index)
        self._weight.copy_(weight)


def _items(bags: BagDataset, positions: Sequence[int]) -> Sequence[Any]:  # Any: as above
    """Some of the bags, at once where the dataset can."""
    many = getattr(bags, "__getitems__", None)
    return many(positions) if many is not None and positions else [bags[position] for position in positions]


def _labelled(item: Any, label: int, weight: Tensor) -> Any:  # Any: as above
    if isinstance(item, Mapping):
        return {**item, "label": label, "weight": weight}
    has_label = isinstance(item, (tuple, list)) and not hasattr(item, "_fields")
    return (item[0] if has_label else item), label, weight
