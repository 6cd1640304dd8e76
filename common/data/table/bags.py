"""The bags of a table that are negative, or positive, for one label, as a map-style dataset."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch
from negsift.common.data.table.bag_filter import BagFilter
from negsift.common.data.table.ids import read_column
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest
from negsift.common.data.table.memory_use import least_budget
from negsift.common.data.table.row_group_stream import RowGroupStream, split_bags
from negsift.common.data.table.row_index import RowIndex, select_rows


@dataclass(frozen=True)
class TableBags:
    """The bags at the rows of `row_index`. Only the index is pickled: each process reads the files itself."""

    row_index: RowIndex

    def __len__(self) -> int:
        return len(self.row_index)

    def __getitem__(self, position: int) -> Tensor:
        """One bag: float32 features (instances, D), uint8 images (instances, 3, H, W), or a clip's log-mel,
        float16 (frames, mels). Raises IndexError.
        """
        if not -len(self) <= position < len(self):
            raise IndexError(f"bag {position} of {len(self)}")
        return self.__getitems__([position % len(self)])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[Tensor]:
        """The bags at `positions`, in that order. torch's DataLoader calls this to fetch a whole batch."""
        index = np.asarray(positions, dtype=np.int64)
        order = np.argsort(index, kind="stable")
        bags = split_bags(self._stream.gather(index[order]))
        by_place = dict(zip(order.tolist(), bags, strict=True))
        return [by_place[place] for place in range(len(index))]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[position] for position in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        return {"row_index": self.row_index}

    @property
    def manifest(self) -> Manifest:
        """The manifest of the version."""
        return self.row_index.manifest

    @property
    def version(self) -> int:
        """The version's number."""
        return self.manifest.version

    def bag_id(self, index: Index) -> list[str]:
        """The ids of the bags at `index`, in that order."""
        return self._column("bag_id", index)

    def source_id(self, index: Index) -> list[str | None]:
        """The `group_id` of the bags at `index`, in that order; None for a bag without one."""
        return self._column("group_id", index)

    def coords(self, index: Index) -> list[NDArray[np.float32] | None]:
        """The places (x, y) of the instances of the bags at `index`, (n, 2) each; None for a bag without them."""
        some = self._column("coords", index)
        return [places if places is None else np.array(places, dtype=np.float32).reshape(-1, 2) for places in some]

    def instance_labels(self, index: Index) -> list[NDArray[np.int8] | None]:
        """The labels of the instances of the bags at `index`, (n,) each; None for a bag without them."""
        some = self._column("instance_labels", index)
        return [labels if labels is None else np.array(labels, dtype=np.int8) for labels in some]

    def _column(self, name: str, index: Index) -> list[Any]:  # Any: values of the column's type
        rows, index, values = self.row_index, np.asarray(index, dtype=np.int64), np.empty(len(index), dtype=object)
        groups = rows.groups_of(index)
        for group in np.unique(groups):
            file, number = self.manifest.groups[group]
            places = np.flatnonzero(groups == group)
            column = read_column(rows.location, self.manifest.files[file], [number], name)
            wanted = rows.rows(group)[index[places] - rows.starts[group]]
            for place, value in zip(places, column.take(wanted).to_pylist(), strict=True):
                values[place] = value
        return values.tolist()

    def gather(self, index: Index) -> BagBatch | Tensor:
        """The bags at ascending positions, end to end; clips as a tensor (n, frames, mels)."""
        return self._stream.gather(index)

    def at(self, version: int | None) -> "TableBags":
        """These bags in another version of the table, by default the newest. Raises BadData as `open_pool` does."""
        row_index = self.row_index.at(version)
        return self if row_index is self.row_index else TableBags(row_index)

    @property
    def _stream(self) -> RowGroupStream:
        """What `[i]` reads through: the cache on disk, and a few row groups in memory."""
        opened: tuple[int, RowGroupStream] | None = self.__dict__.get("_opened")
        if opened is None or opened[0] != os.getpid():  # a fork copies the stream, but not the thread that decodes
            opened = os.getpid(), RowGroupStream(self.row_index, range(0), least_budget(self.row_index))
            self.__dict__["_opened"] = opened
        return opened[1]


def open_pool(where: str | Path | Location, label: str | None = None) -> TableBags:
    """The newest version's training bags that are negative for `label`; unlabeled bags are left out. `label` may be
    None for a table without labels. Raises BadData for files that differ from the manifest and where no bag is left,
    UnknownName for a label that no bag has, BadInput for a missing label.
    """
    return open_bags(where, [BagFilter(label)])[0]


def open_positives(where: str | Path | Location, label: str) -> TableBags:
    """The newest version's training bags that are positive for `label`; raises as `open_pool` does."""
    return open_bags(where, [BagFilter(label, positive=True)])[0]


def open_bags(
    where: str | Path | Location, filters: Sequence[BagFilter], version: int | None = None
) -> Sequence[TableBags]:
    """The bags that each filter selects, read at once; see `select_rows`."""
    return [TableBags(index) for index in select_rows(where, filters, version)]
