"""Counts and a description of a table's content, and a check of every byte."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.data.table.check import check_files
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest
from negsift.common.data.table.reader import RowGroupReader, read_columns
from negsift.common.errors import BadData

_SHOWN = 10


@dataclass
class TableStatistics:
    """Counts over all bags: of labels, splits and sizes, of bags without labels and of those with an empty list."""

    labels: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    unlabeled: int = 0
    all_negative: int = 0
    sizes: Counter[int] = field(default_factory=Counter)

    def add(self, table: pa.Table) -> None:
        """Count one row group."""
        labels = table["labels"]
        lengths = pc.list_value_length(labels)
        self.unlabeled += labels.null_count
        empty = pc.invert(lengths.cast(pa.bool_()))  # pc.equal(lengths, 0) would import pandas, 0.4 s
        self.all_negative += pc.sum(empty).as_py() or 0
        _count(self.labels, pc.list_flatten(labels))
        _count(self.splits, table["split"])
        _count(self.sizes, table["n_instances"])

    @property
    def size_range(self) -> tuple[int, int, int]:
        """The smallest, the median and the largest bag, in instances."""
        sizes = np.array(sorted(self.sizes))
        ends = np.cumsum([self.sizes[size] for size in sizes])
        return int(sizes[0]), int(sizes[np.searchsorted(ends, (ends[-1] + 1) // 2)]), int(sizes[-1])


def count_bags(location: Location, manifest: Manifest) -> TableStatistics:
    """The counts of a version. Raises BadData if a file differs from the manifest."""
    statistics = TableStatistics()
    files = check_files(location, manifest.files, manifest.payload)
    check_files(location, manifest.images, manifest.payload.instance_payload)
    for table in read_columns(location, files, ["labels", "split", "n_instances"]):
        statistics.add(table)
    unknown = sorted(statistics.labels.keys() - {*manifest.classes})
    if unknown:
        found = f"the label {unknown[0]!r} in the files of {location.name}"
        raise BadData(found, "classes that the manifest lists", "restore it, or rebuild the table")
    instances = sum(size * count for size, count in statistics.sizes.items())
    if instances != manifest.instances:
        found = f"{instances:,} instances in the files of {location.name}"
        raise BadData(found, f"{manifest.instances:,}, as the manifest lists", "restore it, or rebuild the table")
    return statistics


def describe_table(location: Location, manifest: Manifest, statistics: TableStatistics) -> str:
    """A table in a few lines of text."""
    low, middle, high = statistics.size_range
    files = len(manifest.files) + len(manifest.images)
    splits = ", ".join(f"{split or 'none'} {count:,}" for split, count in sorted(statistics.splits.items()))
    labels = [f"  {label}: {statistics.labels[label]:,}" for label in manifest.classes]
    largest = max(group.size_bytes for file in manifest.files for group in file.groups)
    return "\n".join([
        f"{location.name}: bags/1, version {manifest.version}",
        f"{manifest.rows:,} bags of {manifest.instances:,} instances ({low} to {high} a bag, median {middle})",
        f"payload {manifest.payload}{f' of a table of {manifest.instance_table.rows:,}' if manifest.images else ''}",
        f"{manifest.size_bytes:,} bytes in {files} files, {len(manifest.groups)} row groups "
        f"(the largest of {largest:,} bytes)",
        f"splits: {splits}",
        f"labels, with their positive bags ({statistics.all_negative:,} bags have none, "
        f"{statistics.unlabeled:,} are unlabeled):",
        *labels,
        *_left_out(manifest),
    ])  # fmt: skip


def _left_out(manifest: Manifest) -> list[str]:
    if not manifest.left_out:
        return []
    shown, more = manifest.left_out[:_SHOWN], len(manifest.left_out) - _SHOWN
    rest = [f"  and {more:,} more, all listed in the manifest"] if more > 0 else []
    return [f"left out when it was built: {len(manifest.left_out):,}", *(f"  {line}" for line in shown), *rest]


def verify(location: Location, manifest: Manifest) -> None:
    """Read every byte. Raises BadData for the first row group whose bytes differ from those that were written."""
    reader = RowGroupReader(location, manifest)
    for place in manifest.groups:
        next(reader.read(place, "bag_id", 1))
    if manifest.images:
        verify(location, manifest.instance_table)


def _count(counts: Counter[Any], column: pa.ChunkedArray) -> None:  # Any: text or numbers, as the column
    for pair in pc.value_counts(column.combine_chunks()).to_pylist():
        counts["" if pair["values"] is None else pair["values"]] += pair["counts"]
