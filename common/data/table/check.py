"""What bags must be before they are written, and files before they are read."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from negsift.common.data.table.byte_range_file import ByteRangeFile
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import File
from negsift.common.data.table.schema import SPLITS, Payload, read_payload
from negsift.common.errors import BadData

_ANEW = "bring the file back as it was, or build the table anew"
_TAIL = 1 << 16  # what Arrow reads of a file's end in the hope that the footer is in it


def check_bags(table: pa.Table, payload: Payload) -> None:
    """Raise BadData naming the first bag without an id, without instances, with holes, or of an unknown split."""
    column = table[payload.column].combine_chunks()
    inner = column if payload.single else column.flatten()
    if payload.column == "features":
        holes = inner.null_count or inner.flatten().null_count
    elif payload.views:
        holes = inner.null_count
    else:
        holes = inner.null_count or inner.field("bytes").null_count
    wrong = {
        "no bag_id": pc.or_kleene(pc.is_null(table["bag_id"]), pc.equal(table["bag_id"], "")),
        "no instances": pc.equal(table["n_instances"], 0),
        f"a split other than {', '.join(SPLITS)}": pc.and_(
            pc.is_valid(table["split"]), pc.invert(pc.is_in(table["split"], pa.array(SPLITS)))
        ),
    }
    for what, mask in wrong.items():
        if pc.any(mask).as_py():
            at = pc.index(mask, True).as_py()
            raise BadData(
                f"{what} for bag {table['bag_id'][at].as_py()!r} (row {at})", "a whole bag", "correct the source"
            )
    if holes:
        raise BadData(f"missing values in {payload.column}", "numbers or bytes everywhere", "correct the source")
    labels = table["labels"].combine_chunks()
    if labels.flatten().null_count:
        at = pc.list_parent_indices(labels)[pc.index(pc.is_null(labels.flatten()), True).as_py()].as_py()
        told = f"a null among the labels of bag {table['bag_id'][at].as_py()!r} (row {at})"
        raise BadData(told, "names, [] or a null instead of the list", "correct the source")


def check_files(where: Location, files: Sequence[File], payload: Payload) -> list[tuple[File, pq.FileMetaData]]:
    """Files with their footers, once each is as the manifest says by size, footer and schema; else BadData.

    Row groups' own bytes are compared with their hash when they are read, see `reader`.
    """
    with ThreadPoolExecutor(min(8, len(files)) or 1, thread_name_prefix="negsift-open") as threads:
        footers = threads.map(lambda file: check_file(where, file, payload), files)
        return list(zip(files, footers, strict=True))


def check_file(where: Location, file: File, payload: Payload) -> pq.FileMetaData:
    """The footer of one file, checked as in `check_files`."""
    name, size = f"{where.name}/{file.name}", where.size(file.name)
    if size != file.size_bytes:
        found = "no file" if size is None else f"{size:,} bytes"
        raise BadData(f"{found} at {name}", f"{file.size_bytes:,} bytes, as its manifest says", _ANEW)
    begin = max(0, file.footer - _TAIL)
    tail = where.read(file.name, begin)
    if hashlib.sha256(tail.slice(file.footer - begin)).hexdigest() != file.digest:
        raise BadData(f"{name} with another footer", "the content its manifest lists", _ANEW)
    metadata = pq.read_metadata(pa.PythonFile(ByteRangeFile(tail, begin), mode="r"))
    found_payload = read_payload(metadata.schema.to_arrow_schema(), name)
    if found_payload != payload:
        raise BadData(f"{name} with {found_payload}", f"{payload}, as its manifest says", _ANEW)
    return metadata
