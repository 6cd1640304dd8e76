"""One part of the cache: some clips' arrays in an Arrow file that is memory-mapped to read.

A part is written under another name and renamed, so it is whole or not there; one that was damaged
later, or made with other parameters, reads as None and is made again.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from negsift.common.arrays import Index


@dataclass(frozen=True)
class Part:
    """Arrays of one shape (n, ...) of the clips numbered `number` (n,); why others are missing, by number."""

    number: Index
    values: NDArray[Any]  # Any: int16 samples or float16 features
    dropped: Mapping[int, str]


def write_part(path: Path, part: Part, key: str) -> None:
    """Write the part, atomically, with the `key` of what it was made of."""
    shape = part.values.shape[1:]
    flat = pa.array(part.values.reshape(-1))
    values = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape)))
    told = {"key": key, "shape": json.dumps(shape), "dropped": json.dumps(dict(part.dropped))}
    table = pa.table({"number": part.number, "values": values}).replace_schema_metadata(told)
    made = path.with_name(f".{path.name}.{os.getpid()}")
    with pa.OSFile(str(made), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, len(table)))
    os.replace(made, path)


def read_part(path: Path, key: str) -> Part | None:
    """The part, its values a view of the mapped file; None if it isn't there, isn't whole or has another key."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        told = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
        if told["key"] != key:
            return None
        shape, dropped = json.loads(told["shape"]), json.loads(told["dropped"])
    except (OSError, pa.ArrowException, AttributeError, KeyError, ValueError):
        return None
    flat = table["values"].chunk(0).flatten().to_numpy(zero_copy_only=True) if len(table) else np.zeros(0)
    values = flat.reshape(len(table), *shape)
    return Part(table["number"].to_numpy().astype(np.int64), values, {int(n): why for n, why in dropped.items()})
