"""Which rows of a bag table a dataset consists of, and the position of each of them.

Positions follow the manifest: its files, their row groups, their rows; only the selected rows count.
Appending to a table adds positions at the end and changes none.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from negsift.common.arrays import Index
from negsift.common.data.table.bag_filter import BagFilter, needed_columns
from negsift.common.data.table.check import check_files
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, TableFile, read_manifest
from negsift.common.data.table.reader import read_columns
from negsift.common.errors import BadData, BadInput, UnknownName
from negsift.common.some_of import some_of


@dataclass(frozen=True)
class RowIndex:
    """The rows that `filter` selects from one version of a table. `masks[g]` has a bit for each row of row group g, as
    `np.packbits` writes them; a set bit is a selected row.
    """

    location: Location
    manifest: Manifest
    filter: BagFilter
    masks: tuple[bytes, ...] = field(repr=False)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @functools.cached_property
    def starts(self) -> Index:
        """The first position in each row group, and the number of positions at the end, (groups + 1,)."""
        counts = [int.from_bytes(mask, "big").bit_count() for mask in self.masks]
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def rows(self, group: int) -> Index:
        """The selected rows of a row group, ascending."""
        return np.flatnonzero(np.unpackbits(np.frombuffer(self.masks[group], np.uint8)))

    def groups_of(self, index: Index) -> Index:
        """The row group of each position, (n,)."""
        return np.searchsorted(self.starts, index, side="right").astype(np.int64) - 1

    @functools.cached_property
    def images(self) -> "RowIndex | None":
        """All rows of the instance table that the bags refer to; None where bags contain their instances."""
        if not self.manifest.payload.views:
            return None
        table = self.manifest.instance_table
        masks = (np.packbits(np.ones(table.group(place).rows, bool)).tobytes() for place in table.groups)
        return RowIndex(self.location, table, BagFilter(None), tuple(masks))

    def at(self, version: int | None) -> "RowIndex":
        """The same selection in another version of the table, by default the newest. Only files that this version does
        not have are read. Raises BadData as `select_rows` does.
        """
        manifest = read_manifest(self.location, version)
        if manifest.version == self.manifest.version:
            return self
        # Files are compared by name, size and digest: positions may be kept only for identical ones.
        same = [one == other for one, other in zip(manifest.files, self.manifest.files, strict=False)]
        shared = len(list(itertools.takewhile(bool, same)))
        known = sum(len(file.groups) for file in manifest.files[:shared])
        new_images = manifest.images[len(self.manifest.images) :]
        check_files(self.location, new_images, manifest.payload.instance_payload)
        (added,) = _scan(self.location, manifest, manifest.files[shared:], [self.filter])
        return RowIndex(self.location, manifest, self.filter, self.masks[:known] + added)


def select_rows(
    where: str | Path | Location, filters: Sequence[BagFilter], version: int | None = None
) -> Sequence[RowIndex]:
    """One index for each filter, all from one reading of a version, by default the newest. All filters must have the
    same `hash_split`. Raises BadData for files that differ from the manifest and for a filter that selects nothing,
    UnknownName for a label that no bag has, BadInput for a missing label.
    """
    location = Location.of(where)
    manifest = read_manifest(location, version)
    for bag_filter in filters:
        _require_label(manifest, bag_filter.label)
    check_files(location, manifest.images, manifest.payload.instance_payload)
    masks = _scan(location, manifest, manifest.files, filters)
    indices = [RowIndex(location, manifest, bag_filter, mask) for bag_filter, mask in zip(filters, masks, strict=True)]
    for index in indices:
        _require_some(index)
    return indices


def _require_some(index: RowIndex) -> None:
    if not len(index):
        label, kind = index.filter.label, "positive" if index.filter.positive else "negative"
        split = {"train": "training", "val": "validation"}.get(index.filter.split, index.filter.split)
        found = f"no {split} bag {kind} for {label!r} among {index.manifest.rows:,} in {index.location.name}"
        remedy, hashed = "run `pool inspect` to see the table's splits and labels", index.filter.hash_split
        if hashed is not None and index.filter.split in hashed.splits:
            remedy = "raise data.val_share, set another data.bag_seed, or mark the splits in the source"
        if hashed is not None:
            remedy += "; bags of one group_id stay together"
        raise BadData(found, "at least one", remedy)


def _require_label(manifest: Manifest, label: str | None) -> None:
    if label is None and manifest.classes:
        expected = f"one of {some_of(manifest.classes)}"
        raise BadInput("no target_label", expected, "name the label for which the pool's bags are negative")
    if label is not None and label not in manifest.classes:
        raise UnknownName("target_label", label, manifest.classes)


def _scan(
    location: Location, manifest: Manifest, files: Sequence[TableFile], filters: Sequence[BagFilter]
) -> Sequence[tuple[bytes, ...]]:
    """For each filter the masks of all row groups of `files`."""
    checked, hash_split = check_files(location, files, manifest.payload), filters[0].hash_split
    masks: list[list[bytes]] = [[] for _ in filters]
    for table in read_columns(location, checked, needed_columns(hash_split)):
        assigned = table if hash_split is None else hash_split.assign(table)
        for group_masks, bag_filter in zip(masks, filters, strict=True):
            group_masks.append(bag_filter.mask(assigned))
    pa.default_memory_pool().release_unused()  # Arrow would keep the pages that it read for later reads
    return [tuple(group_masks) for group_masks in masks]
