"""A part of the clip cache: the arrays of some clips in a memory-mapped Arrow file.

A part is written under another name and renamed, so the file is complete. A part that is missing, damaged, or
made with other parameters reads as None, and its owner makes it again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from negsift.common.arrays import Index
from negsift.common.unfinished import replacing


@dataclass(frozen=True)
class CachePart:
    """Arrays `values` (n, ...) of the clips numbered `number` (n,), and for other clips the reason they are missing."""

    number: Index
    values: NDArray[Any]  # Any: int16 samples or float16 features
    dropped: Mapping[int, str]


def write_part(path: Path, part: CachePart, key: str) -> None:
    """Write the part atomically; `key` names the content and parameters that it was made from."""
    shape = part.values.shape[1:]
    values = pa.FixedSizeListArray.from_arrays(pa.array(part.values.reshape(-1)), int(np.prod(shape)))
    metadata = {"key": key, "shape": json.dumps(shape), "dropped": json.dumps(dict(part.dropped))}
    table = pa.table({"number": part.number, "values": values}).replace_schema_metadata(metadata)
    with replacing(path) as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, len(table)))  # one chunk, so that reading needs no copy


def read_part(path: Path, key: str) -> CachePart | None:
    """The part, whose values are a view of the mapped file; None if it is missing, damaged or has another key."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        metadata = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
        if metadata["key"] != key:
            return None
        shape, dropped = json.loads(metadata["shape"]), json.loads(metadata["dropped"])
    except (OSError, pa.ArrowException, AttributeError, KeyError, ValueError):
        return None
    flat = table["values"].chunk(0).flatten().to_numpy(zero_copy_only=True) if len(table) else np.zeros(0)
    values = flat.reshape(len(table), *shape)
    reasons = {int(number): reason for number, reason in dropped.items()}
    return CachePart(table["number"].to_numpy().astype(np.int64), values, reasons)
