"""Checks of bags before they are written, and of files before they are read."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from negsift.common.arrays import Index
from negsift.common.data.table.byte_range_file import ByteRangeFile
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import TableFile
from negsift.common.data.table.schema import SPLITS, Payload, read_payload
from negsift.common.errors import BadData

_RESTORE = "restore the original file, or rebuild the table"
_TAIL = 1 << 16  # Arrow first reads this much of a file's end; with less, it would ask for bytes outside the range


def check_bags(table: pa.Table, payload: Payload) -> None:
    """Raise BadData for the first bag without an id or of an unknown split, and for nulls in
    the payload or in a list of labels.
    """
    wrong = {
        "no bag_id": pc.or_kleene(pc.is_null(table["bag_id"]), pc.equal(table["bag_id"], "")),
        f"a split other than {', '.join(SPLITS)}": pc.and_(
            pc.is_valid(table["split"]), pc.invert(pc.is_in(table["split"], pa.array(SPLITS)))
        ),
    }
    for fault, mask in wrong.items():
        if pc.any(mask).as_py():
            row = pc.index(mask, True).as_py()
            found = f"{fault} for bag {table['bag_id'][row].as_py()!r} (row {row})"
            raise BadData(found, "a complete bag", "correct the source")
    if _null_count(table[payload.column].combine_chunks(), payload):
        raise BadData(f"missing values in {payload.column}", "numbers or bytes everywhere", "correct the source")
    labels = table["labels"].combine_chunks()
    if labels.flatten().null_count:
        row = pc.list_parent_indices(labels)[pc.index(pc.is_null(labels.flatten()), True).as_py()].as_py()
        found = f"a null among the labels of bag {table['bag_id'][row].as_py()!r} (row {row})"
        raise BadData(found, "names, [] or a null instead of the list", "correct the source")


def count_not_finite(table: pa.Table) -> Index:
    """How many features of each bag are infinite or NaN, (bags,); for checked bags."""
    feats = table["features"].combine_chunks().flatten()
    wrong_M = ~np.isfinite(feats.flatten().to_numpy(zero_copy_only=False)).reshape(-1, feats.type.list_size)
    ends = np.cumsum(table["n_instances"].to_numpy(), dtype=np.int64)
    sums = np.concatenate([[0], np.cumsum(wrong_M.sum(1))])
    counts: Index = np.diff(sums[ends], prepend=0)
    return counts


def _null_count(column: pa.Array, payload: Payload) -> int:
    instances = column if payload.single else column.flatten()
    count: int = instances.null_count
    if payload.column == "features":
        count += instances.flatten().null_count
    elif not payload.views:
        count += instances.field("bytes").null_count
    return count


def check_files(
    location: Location, files: Sequence[TableFile], payload: Payload
) -> list[tuple[TableFile, pq.FileMetaData]]:
    """The files with their footers. Raises BadData if size, footer or schema of one differs from the manifest. The
    content of row groups is checked when it is read, by `RowGroupReader`.
    """
    with ThreadPoolExecutor(min(8, len(files)) or 1, thread_name_prefix="negsift-open") as threads:
        return list(zip(files, threads.map(lambda file: check_file(location, file, payload), files), strict=True))


def check_file(location: Location, file: TableFile, payload: Payload) -> pq.FileMetaData:
    """The footer of one file, checked as by `check_files`."""
    name, size = f"{location.name}/{file.name}", location.size(file.name)
    if size != file.size_bytes:
        found = "no file" if size is None else f"{size:,} bytes"
        raise BadData(f"{found} at {name}", f"{file.size_bytes:,} bytes, as the manifest lists", _RESTORE)
    begin = max(0, file.footer - _TAIL)
    tail = location.read(file.name, begin)
    if hashlib.sha256(tail.slice(file.footer - begin)).hexdigest() != file.digest:
        raise BadData(f"{name} with another footer", "the content that the manifest lists", _RESTORE)
    metadata = pq.read_metadata(pa.PythonFile(ByteRangeFile(tail, begin), mode="r"))
    stated = read_payload(metadata.schema.to_arrow_schema(), name)
    if stated != payload:
        raise BadData(f"{name} with {stated}", f"{payload}, as the manifest lists", _RESTORE)
    rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    if rows != [group.rows for group in file.groups]:
        raise BadData(f"{name} with {sum(rows):,} bags in {len(rows)} row groups", "those of the manifest", _RESTORE)
    return metadata
