"""Bags of a table with labels for one target, for a trainer: read as they are asked for, or held in memory."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.audio.config import ClipForm
from negsift.common.data.bagset import BagBatch
from negsift.common.data.table.bags import TableBags


@dataclass(frozen=True)
class Told:
    """What a table tells of its bags: the names of all labels, and what was left out when it was built."""

    classes: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class TableSet:
    """A map-style dataset: bag i is bag `row[i]` of `tables[part[i]]`, whose bags all have the label `labels[part[i]]`.

    `name` ends in `class` and the target's number; `form` is that of clips. `held` has the bags themselves where
    they are in memory, as those that are trained on are.
    """

    tables: tuple[TableBags, ...]
    labels: tuple[int, ...]
    part: NDArray[np.int8]
    row: Index
    name: str
    form: ClipForm | None = None
    held: tuple[Tensor, ...] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, **tables: TableBags) -> "TableSet":
        """All bags of `negative`, then all of `positive`, as far as they are given."""
        some, labels = tuple(tables.values()), tuple(int(kind == "positive") for kind in tables)
        part = np.repeat(np.arange(len(some), dtype=np.int8), [len(each) for each in some])
        row = np.concatenate([np.arange(len(each), dtype=np.int64) for each in some])
        return cls(some, labels, part, row, name)

    @property
    def instances(self) -> Told:
        """The table that they are of."""
        manifest = self.tables[0].manifest
        return Told(manifest.classes, manifest.left_out)

    @property
    def label(self) -> Index:
        """0 or 1 for every bag, (n,)."""
        return np.array(self.labels, dtype=np.int64)[self.part]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        if not -len(self) <= position < len(self):
            raise IndexError(f"bag {position} of {len(self)}")
        at = np.array([position % len(self)])
        return self._bags(at)[0], int(self.label[position])

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
        held = None if self.held is None else tuple(self.held[at] for at in index)
        return dataclasses.replace(self, part=self.part[index], row=self.row[index], held=held)

    def joined(self, other: "TableSet") -> "TableSet":
        """These bags, then the other's, all of them in memory."""
        mine, theirs = self.loaded(), other.loaded()
        return dataclasses.replace(
            self, tables=self.tables + other.tables, labels=self.labels + other.labels,
            part=np.concatenate([self.part, other.part + np.int8(len(self.tables))]),
            row=np.concatenate([self.row, other.row]), held=(mine.held or ()) + (theirs.held or ()),
        )  # fmt: skip

    def loaded(self) -> "TableSet":
        """The same bags, in memory."""
        return self if self.held is not None else dataclasses.replace(self, held=self._read(np.arange(len(self))))

    def bag_id(self, index: Index) -> list[str]:
        """The ids of the bags at `index`, those of the table."""
        names = np.empty(len(index), dtype=object)
        for number, table in enumerate(self.tables):
            places = np.flatnonzero(self.part[index] == number)
            names[places] = table.bag_id(self.row[index[places]])
        return names.tolist()

    def _bags(self, index: Index) -> tuple[Tensor, ...]:
        return self._read(index) if self.held is None else tuple(self.held[at] for at in index)

    def _read(self, index: Index) -> tuple[Tensor, ...]:
        found: list[Tensor] = [torch.empty(0)] * len(index)
        for number, table in enumerate(self.tables):
            places = np.flatnonzero(self.part[index] == number)
            bags = table.__getitems__(self.row[index[places]].tolist()) if len(places) else []
            for place, bag in zip(places, bags, strict=True):
                found[place] = bag
        return tuple(found)
