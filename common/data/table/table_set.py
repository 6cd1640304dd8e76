"""Labelled bags of a table for a trainer, read when they are asked for or kept in memory."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.audio.config import ClipForm
from negsift.common.data.bagset import BagBatch
from negsift.common.data.packed_bags import to_send
from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.manifest import Manifest

T = TypeVar("T")


@dataclass(frozen=True)
class TableSet:
    """A map-style dataset: bag i is bag `row[i]` of `tables[part[i]]`, and its label is `labels[part[i]]`. `name` ends
    in `class` and the target's number; `form` is None unless the bags are clips. `in_memory` has all bags if they are
    kept in memory, as those to train on are.
    """

    tables: tuple[TableBags, ...]
    labels: tuple[int, ...]
    part: NDArray[np.int8]
    row: Index
    name: str
    form: ClipForm | None = None
    in_memory: tuple[Tensor, ...] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, **tables: TableBags) -> "TableSet":
        """All bags of the tables, which are called `negative` and `positive`, in the order of the arguments."""
        parts, labels = tuple(tables.values()), tuple(int(kind == "positive") for kind in tables)
        part = np.repeat(np.arange(len(parts), dtype=np.int8), [len(bags) for bags in parts])
        row = np.concatenate([np.arange(len(bags), dtype=np.int64) for bags in parts])
        return cls(parts, labels, part, row, name)

    @property
    def instances(self) -> Manifest:
        """The table's manifest, as a description of the data."""
        return self.tables[0].manifest

    @property
    def label(self) -> Index:
        """0 or 1 for every bag, (n,)."""
        return np.array(self.labels, dtype=np.int64)[self.part]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        if not -len(self) <= position < len(self):
            raise IndexError(f"bag {position} of {len(self)}")
        return self._bags(np.array([position % len(self)]))[0], int(self.label[position])

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return (self[position] for position in range(len(self)))

    def gather(self, index: Index) -> BagBatch | Tensor:
        """The bags at `index`, in that order; clips as a tensor (n, frames, mels)."""
        bags = self._bags(index)
        if self.tables[0].manifest.payload.sound:
            return torch.stack(bags)
        return BagBatch(torch.cat(bags), np.array([len(bag) for bag in bags], dtype=np.int64))

    def subset(self, index: Index) -> "TableSet":
        """The bags at `index`, in that order."""
        bags = None if self.in_memory is None else tuple(self.in_memory[position] for position in index)
        return dataclasses.replace(self, part=self.part[index], row=self.row[index], in_memory=bags)

    def joined(self, other: "TableSet") -> "TableSet":
        """These bags followed by those of `other`, all in memory."""
        first, second = self.loaded(), other.loaded()
        return dataclasses.replace(
            self, tables=self.tables + other.tables, labels=self.labels + other.labels,
            part=np.concatenate([self.part, other.part + np.int8(len(self.tables))]),
            row=np.concatenate([self.row, other.row]), in_memory=(first.in_memory or ()) + (second.in_memory or ()),
        )  # fmt: skip

    def loaded(self) -> "TableSet":
        """The same bags, in memory."""
        if self.in_memory is not None:
            return self
        # Epochs go through the positives again and again, so reading them once pays.
        return dataclasses.replace(self, in_memory=self._read(np.arange(len(self))))

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        """Bags in memory are views of larger tensors, each of which would be sent with all of its own."""
        bags = self.in_memory
        return self.__dict__ | {"in_memory": None if bags is None else to_send(bags)}

    def __setstate__(self, state: dict[str, Any]) -> None:  # Any: as above
        bags = state["in_memory"]
        self.__dict__.update(state, in_memory=None if bags is None else tuple(bags[i] for i in range(len(bags))))

    def bag_id(self, index: Index) -> list[str]:
        """The ids that the bags at `index` have in the table."""
        return self._of_tables(TableBags.bag_id, index)

    def coords(self, index: Index) -> list[NDArray[np.float32] | None]:
        """The places of the instances of the bags at `index`, (n, 2) each, or None."""
        return self._of_tables(TableBags.coords, index)

    def instance_labels(self, index: Index) -> list[NDArray[np.int8] | None]:
        """The labels of the instances of the bags at `index`, (n,) each, or None."""
        return self._of_tables(TableBags.instance_labels, index)

    def _of_tables(self, ask: Callable[[TableBags, Index], list[T]], index: Index) -> list[T]:
        values = np.empty(len(index), dtype=object)
        for number, table in enumerate(self.tables):
            places = np.flatnonzero(self.part[index] == number)
            for place, value in zip(places, ask(table, self.row[index[places]]), strict=True):
                values[place] = value
        found: list[T] = values.tolist()
        return found

    def _bags(self, index: Index) -> tuple[Tensor, ...]:
        if self.in_memory is None:
            return self._read(index)
        return tuple(self.in_memory[position] for position in index)

    def _read(self, index: Index) -> tuple[Tensor, ...]:
        bags: list[Tensor] = [torch.empty(0)] * len(index)
        for number, table in enumerate(self.tables):
            places = np.flatnonzero(self.part[index] == number)
            read = table.__getitems__(self.row[index[places]].tolist()) if len(places) else []
            for place, bag in zip(places, read, strict=True):
                bags[place] = bag
        return tuple(bags)
