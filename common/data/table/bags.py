"""The bags of a table that are negative, or positive, for one label: a map-style dataset, and a shard's source.

Positions follow the manifest: its files, their row groups, their rows, of which those wanted count.
Appending to the table leaves them as they are.
"""

import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch
from negsift.common.data.table.bag_filter import BagFilter, columns
from negsift.common.data.table.check import check_files
from negsift.common.data.table.ids import read_ids
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import File, Manifest, read_manifest
from negsift.common.data.table.row_group_stream import RowGroupStream, least_budget, split_bags
from negsift.common.data.table.survey import small_columns
from negsift.common.errors import BadData, BadInput, UnknownName


@dataclass(frozen=True)
class TableBags:
    """Bags of one version of a table. `masks` tells a row group's wanted rows, a bit each, group by group."""

    where: Location
    manifest: Manifest
    wanted: BagFilter
    masks: tuple[bytes, ...] = field(repr=False)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, position: int) -> Tensor:
        """The bag at a position: float32 features (instances, D), uint8 images (instances, 3, H, W), or a clip's
        log-mel, float16 (frames, mels).
        """
        if not -len(self) <= position < len(self):
            raise IndexError(f"bag {position} of {len(self)}")
        return self.__getitems__([position % len(self)])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[Tensor]:
        """The bags at positions, in that order; torch's DataLoader asks so. Row groups are read one by one."""
        index = np.asarray(positions, dtype=np.int64)
        order = np.argsort(index, kind="stable")
        bags = split_bags(self._own.gather(index[order]))
        found = dict(zip(order.tolist(), bags, strict=True))
        return [found[place] for place in range(len(index))]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[position] for position in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        return {key: value for key, value in self.__dict__.items() if key != "_feed"}

    @functools.cached_property
    def starts(self) -> Index:
        """How many bags lie before each row group, and how many there are, (groups + 1,)."""
        counts = [int.from_bytes(mask, "big").bit_count() for mask in self.masks]
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @property
    def version(self) -> int:
        """The manifest's."""
        return self.manifest.version

    def rows(self, group: int) -> Index:
        """The rows of a row group that are wanted, ascending."""
        return np.flatnonzero(np.unpackbits(np.frombuffer(self.masks[group], np.uint8)))

    def groups_of(self, index: Index) -> Index:
        """The row group that each position lies in."""
        return np.searchsorted(self.starts, index, side="right").astype(np.int64) - 1

    def bag_id(self, index: Index) -> list[str]:
        """The ids of the bags at positions, in that order."""
        index, names = np.asarray(index, dtype=np.int64), np.empty(len(index), dtype=object)
        groups = self.groups_of(index)
        for group in np.unique(groups):
            file, number = self.manifest.groups[group]
            places = np.flatnonzero(groups == group)
            ids = read_ids(self.where, self.manifest.files[file], [number])
            names[places] = ids.take(self.rows(group)[index[places] - self.starts[group]]).to_pylist()
        return names.tolist()

    @functools.cached_property
    def images(self) -> "TableBags | None":
        """The instance table that bags are views of, each image a bag at its row; none where they hold their own."""
        if not self.manifest.payload.views:
            return None
        viewed = self.manifest.viewed
        masks = (np.packbits(np.ones(viewed.group(place).rows, bool)).tobytes() for place in viewed.groups)
        return TableBags(self.where, viewed, BagFilter(None), tuple(masks))

    def gather(self, index: Index) -> BagBatch | Tensor:
        """The bags at ascending positions, end to end; clips as a tensor (n, frames, mels)."""
        return self._own.gather(index)

    def at(self, version: int | None) -> "TableBags":
        """These bags in another version of the table, the newest by default; what is known is not read again."""
        manifest = read_manifest(self.where, version)
        if manifest.version == self.version:
            return self
        same = [one == other for one, other in zip(manifest.files, self.manifest.files, strict=False)]
        shared = len(list(itertools.takewhile(bool, same)))
        known = sum(len(file.groups) for file in manifest.files[:shared])
        check_files(self.where, manifest.images[len(self.manifest.images) :], manifest.payload.viewed)
        more = _scan(self.where, manifest, manifest.files[shared:], [self.wanted])[0]
        return TableBags(self.where, manifest, self.wanted, self.masks[:known] + more)

    @property
    def _own(self) -> RowGroupStream:
        """What `[i]` reads through, in every process its own: the cache on disk, and a few row groups in memory."""
        if self.__dict__.get("_feed", (0, None))[0] != os.getpid():  # threads don't survive a fork
            self.__dict__["_feed"] = os.getpid(), RowGroupStream(self, range(0), least_budget(self))
        feed: RowGroupStream = self.__dict__["_feed"][1]
        return feed


def open_pool(where: str | Path | Location, label: str | None = None) -> TableBags:
    """The newest version's training bags that are negative for `label`; unlabeled bags are not.

    `label` may be left out where bags have no labels at all. Raises BadData for files that aren't as the
    manifest says or where no bag is left, UnknownName for a label that no bag has.
    """
    return open_each(where, [BagFilter(label)])[0]


def open_positives(where: str | Path | Location, label: str) -> TableBags:
    """The newest version's training bags that are positive for `label`; raises as `open_pool` does."""
    return open_each(where, [BagFilter(label, positive=True)])[0]


def open_each(
    where: str | Path | Location, wanted: Sequence[BagFilter], version: int | None = None
) -> Sequence[TableBags]:
    """Several kinds of bags of a version, the newest by default, by one reading; all with the same `aside`.

    Raises as `open_pool` does.
    """
    place = Location.of(where)
    manifest = read_manifest(place, version)
    for each in wanted:
        _require_label(manifest, each.label)
    check_files(place, manifest.images, manifest.payload.viewed)
    masks = _scan(place, manifest, manifest.files, wanted)
    found = [TableBags(place, manifest, each, mask) for each, mask in zip(wanted, masks, strict=True)]
    for bags in found:
        _require_some(bags)
    return found


def _require_some(bags: TableBags) -> None:
    if not len(bags):
        wanted, kind = bags.wanted, "positive" if bags.wanted.positive else "negative"
        part = {"train": "training", "val": "validation"}.get(wanted.part, wanted.part)
        told = f"no {part} bag {kind} for {wanted.label!r} among {bags.manifest.rows:,} in {bags.where.name}"
        raise BadData(told, "one at least", "see `pool inspect` for its splits and labels")


def _require_label(manifest: Manifest, label: str | None) -> None:
    if label is None and manifest.classes:
        known = ", ".join(manifest.classes)
        raise BadInput("no target_label", f"one of {known}", "say for which label the pool's bags are negative")
    if label is not None and label not in manifest.classes:
        raise UnknownName("target_label", label, manifest.classes)


def _scan(
    where: Location, manifest: Manifest, files: Sequence[File], wanted: Sequence[BagFilter]
) -> Sequence[tuple[bytes, ...]]:
    """The masks of each kind of bags."""
    checked, aside = check_files(where, files, manifest.payload), wanted[0].aside
    masks: list[list[bytes]] = [[] for _ in wanted]
    for table in small_columns(where, checked, columns(aside)):
        decided = table if aside is None else aside.decided(table)
        for mask, each in zip(masks, wanted, strict=True):
            mask.append(each.rows(decided))
    pa.default_memory_pool().release_unused()  # what was read goes back to the system
    return [tuple(mask) for mask in masks]
