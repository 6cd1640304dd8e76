"""A selection as a Parquet table, whose metadata says what it was made from, under a seal over all of it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from negsift.common.arrays import Floats
from negsift.common.errors import BadData
from negsift.common.json_text import parse_json
from negsift.common.regular_file import regular
from negsift.common.types import Selection

_MADE, _SEAL = "negsift.made", "negsift.seal"
_COLUMNS = ("index", "score", "weight")


@dataclass(frozen=True)
class RecordedSelection:
    """The `index`, `score` and `weight` of a selection, (k,) each, and what it was `made` from; {} if not recorded."""

    index: NDArray[np.generic]
    score: NDArray[np.generic]
    weight: NDArray[np.generic]
    made: dict[str, Any]  # Any: JSON

    def equals(self, selection: Selection) -> bool:
        """Whether the other selection is the same, bit for bit."""
        return all(_bits(getattr(self, name)) == _bits(getattr(selection, name)) for name in _COLUMNS)


def selection_table(
    selection: Selection,
    bag_ids: Sequence[str],
    margin: Floats,
    made: Mapping[str, Any],  # Any: JSON
) -> pa.Table:
    """The selection with its bags' ids, best first, and the `margin` (k,) of each in training, see `SeenEpoch`."""
    columns = {
        "index": selection.index, "bag_id": bag_ids, "score": selection.score, "weight": selection.weight,
        "margin": margin,
    }  # fmt: skip
    table, text = pa.table(columns), json.dumps(made)
    return table.replace_schema_metadata({_MADE: text, _SEAL: _seal(table, text)} if made else None)


def read_selection_file(path: Path) -> RecordedSelection:
    """What `selection_table` gave, from its file. Raises BadData for a file that is not what was written."""
    source = regular(path)
    try:
        table = pq.ParquetFile(source).read()
        metadata = {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}
        made = metadata.get(_MADE, "{}")
        intact = _MADE not in metadata or metadata.get(_SEAL) == _seal(table, made)
        index, score, weight = (table[name].to_numpy() for name in _COLUMNS)
        recorded = RecordedSelection(index, score, weight, parse_json(made))
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise _damaged(path, str(error).partition("\n")[0]) from None
    if not intact:
        raise _damaged(path, "its content does not fit its seal")
    return recorded


def _damaged(path: Path, reason: str) -> BadData:
    return BadData(f"{path} damaged ({reason})", "a selection as a run writes it", "restore the file")


def _seal(table: pa.Table, made: str) -> str:
    digest = hashlib.blake2b(f"{made}\n".encode(), digest_size=16)
    for name in (*_COLUMNS, *({"margin"} & set(table.column_names))):  # those written before have no margin
        digest.update(_bits(table[name].to_numpy()))
    digest.update("\n".join(table["bag_id"].to_pylist()).encode())
    return digest.hexdigest()


def _bits(column: NDArray[np.generic]) -> bytes:
    return f"{column.dtype}{column.shape}".encode() + column.tobytes()
