"""Bags as batches of instances, and a map-style dataset of bags over an instance table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.instances import Instances


@dataclass(frozen=True)
class BagBatch:
    """n bags end to end: `instances` (sum of sizes, ...) and `sizes` (n,), so that ragged bags need no padding."""

    instances: Tensor
    sizes: Index

    def __post_init__(self) -> None:
        if int(self.sizes.sum()) != len(self.instances):
            raise ValueError(f"{len(self.instances)} instances, but sizes sum to {self.sizes.sum()}")

    def __len__(self) -> int:
        return len(self.sizes)

    def to(self, device: torch.device, non_blocking: bool = True) -> "BagBatch":
        """The same bags with their instances on `device`."""
        return BagBatch(self.instances.to(device, non_blocking=non_blocking), self.sizes)


Batch = BagBatch | Tensor | Sequence[object] | Mapping[str, object]
"""The input of a model: ragged bags, a tensor of equal bags, or whatever the user's `collate` makes for their model."""


@dataclass(frozen=True)
class BagSet:
    """Bags as rows of an instance table: bag i is `rows[offsets[i]:offsets[i + 1]]` of `instances`. `label` (n,) is 0
    or 1. A bag's id is the set's `name` with the bag's `number` (n,).
    """

    instances: Instances
    rows: Index
    offsets: Index
    label: Index
    name: str
    number: Index

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        if not -len(self) <= position < len(self):
            raise IndexError(f"bag {position} of {len(self)}")
        batch = self.gather(np.array([position % len(self)]))
        return batch.instances, int(self.label[position])

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return (self[position] for position in range(len(self)))

    def gather(self, index: Index) -> BagBatch:
        """The bags at `index`, in that order."""
        return BagBatch(self.gather_rows(self.rows_of(index)), self.sizes_of(index))

    def gather_rows(self, rows: Index) -> Tensor:
        """The instances at `rows` of the table, (len(rows), C, H, W) uint8."""
        return torch.from_numpy(np.ascontiguousarray(self.instances.images[rows]))

    def rows_of(self, index: Index) -> Index:
        """The instance rows of the bags at `index`, end to end."""
        starts, sizes = self.offsets[index], self.sizes_of(index)
        ends = np.cumsum(sizes)
        # The ranges starts[i] .. starts[i] + sizes[i], end to end, without a loop over bags.
        rows: Index = self.rows[np.arange(sizes.sum()) + np.repeat(starts - ends + sizes, sizes)]
        return rows

    def sizes_of(self, index: Index) -> Index:
        """The number of instances in each of the bags at `index`, (n,), whatever the number of all bags."""
        return self.offsets[index + 1] - self.offsets[index]

    @property
    def sizes(self) -> Index:
        """The number of instances in each bag, (n,)."""
        return np.diff(self.offsets)

    @property
    def shares_instances(self) -> bool:
        """Whether an instance is in more than one bag; then it is cheaper to encode instances than bags."""
        return len(np.unique(self.rows)) < len(self.rows)

    def subset(self, index: Index) -> "BagSet":
        """The bags at `index`, in that order, over the same instance table."""
        offsets = np.concatenate([[0], np.cumsum(self.sizes_of(index))]).astype(np.int64)
        rows, label, number = self.rows_of(index), self.label[index], self.number[index]
        return BagSet(self.instances, rows, offsets, label, self.name, number)

    def joined(self, other: "BagSet") -> "BagSet":
        """These bags followed by those of `other`. Raises ValueError unless both use the same instance table."""
        if other.instances is not self.instances:
            raise ValueError(f"bags of different tables, {self.name} and {other.name}")
        offsets = np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]])
        pairs = ((self.rows, other.rows), (self.label, other.label), (self.number, other.number))
        rows, label, number = (np.concatenate(pair) for pair in pairs)
        return BagSet(self.instances, rows, offsets, label, self.name, number)

    def bag_id(self, index: Index) -> list[str]:
        """The ids of the bags at `index`, unique among all sets of a dataset."""
        return [f"{self.name}-{number:06d}" for number in self.number[index]]

    def only(self, label: int) -> "BagSet":
        """The bags with `label`."""
        return self.subset(np.flatnonzero(self.label == label))
