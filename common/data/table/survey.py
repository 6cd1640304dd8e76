"""What is in a table, from its small columns alone: splits, labels, sizes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from negsift.common.data.table.check import check_files
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import File, Manifest
from negsift.common.data.table.reader import GroupReader
from negsift.common.errors import BadData

_SHOWN = 10


def small_columns(
    where: Location, files: Sequence[tuple[File, pq.FileMetaData]], columns: Sequence[str]
) -> Iterator[pa.Table]:
    """Columns of every row group of checked files, a table each; those a file lacks are null."""
    for file, footer in files:
        try:
            with where.fs.open_input_file(where.at(file.name)) as stream:
                opened = pq.ParquetFile(stream, metadata=footer)
                for group in range(len(file.groups)):
                    yield opened.read_row_group(group, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            found = f"{where.name}/{file.name} unreadable ({error})"
            raise BadData(found, "the file its manifest lists", "bring it back, or build the table anew") from None


@dataclass
class Survey:
    """Counts over a whole table."""

    labels: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    unlabeled: int = 0
    unpositive: int = 0
    sizes: Counter[int] = field(default_factory=Counter)

    def add(self, table: pa.Table) -> None:
        """Count one row group."""
        labels = table["labels"]
        lengths = pc.list_value_length(labels)
        self.unlabeled += labels.null_count
        none = pc.invert(lengths.cast(pa.bool_()))  # pc.equal(lengths, 0) would import pandas, 0.4 s
        self.unpositive += pc.sum(none).as_py() or 0
        _count(self.labels, pc.list_flatten(labels))
        _count(self.splits, table["split"])
        _count(self.sizes, table["n_instances"])

    @property
    def size_range(self) -> tuple[int, int, int]:
        """The smallest, the median and the largest bag, in instances."""
        sizes = np.array(sorted(self.sizes))
        ends = np.cumsum([self.sizes[size] for size in sizes])
        return int(sizes[0]), int(sizes[np.searchsorted(ends, (ends[-1] + 1) // 2)]), int(sizes[-1])


def survey(where: Location, manifest: Manifest) -> Survey:
    """Counts of a table whose files are as its manifest says; raises BadData otherwise."""
    counts = Survey()
    files = check_files(where, manifest.files, manifest.payload)
    check_files(where, manifest.images, manifest.payload.viewed)
    for table in small_columns(where, files, ["labels", "split", "n_instances"]):
        counts.add(table)
    return counts


def describe_table(where: Location, manifest: Manifest, counts: Survey) -> str:
    """A table in a few lines, to be read."""
    low, middle, high = counts.size_range
    files = len(manifest.files) + len(manifest.images)
    splits = ", ".join(f"{split or 'none'} {count:,}" for split, count in sorted(counts.splits.items()))
    labels = [f"  {label}: {counts.labels[label]:,}" for label in manifest.classes]
    largest = max(group.size_bytes for file in manifest.files for group in file.groups)
    return "\n".join([
        f"{where.name}: bags/1, version {manifest.version}",
        f"{manifest.rows:,} bags of {manifest.instances:,} instances ({low} to {high} a bag, median {middle})",
        f"payload {manifest.payload}{f' of a table of {manifest.viewed.rows:,}' if manifest.images else ''}",
        f"{manifest.size_bytes:,} bytes in {files} files, {len(manifest.groups)} row groups "
        f"(the largest of {largest:,} bytes)",
        f"splits: {splits}",
        f"labels, with their positive bags ({counts.unpositive:,} bags have none, {counts.unlabeled:,} are unlabeled):",
        *labels,
        *_left_out(manifest),
    ])  # fmt: skip


def _left_out(manifest: Manifest) -> list[str]:
    if not manifest.left_out:
        return []
    shown, more = manifest.left_out[:_SHOWN], len(manifest.left_out) - _SHOWN
    rest = [f"  and {more:,} more, all in its manifest"] if more > 0 else []
    return [f"left out when it was built: {len(manifest.left_out):,}", *(f"  {line}" for line in shown), *rest]


def verify(where: Location, manifest: Manifest) -> None:
    """Read every byte; raises BadData for the first row group that isn't what was written."""
    reader = GroupReader(where, manifest)
    for place in manifest.groups:
        next(reader.read(place, "bag_id", 1))
    if manifest.images:
        verify(where, manifest.viewed)


def _count(counts: Counter[Any], column: pa.ChunkedArray) -> None:  # Any: what the column holds
    for pair in pc.value_counts(column.combine_chunks()).to_pylist():
        counts["" if pair["values"] is None else pair["values"]] += pair["counts"]
