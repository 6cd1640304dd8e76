"""Reads the selections in a run's folder, one Parquet file each."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from negsift.common.arrays import Floats, Index
from negsift.common.errors import BadData
from negsift.common.regular_file import regular
from negsift.trainer.results.runs import ReportedRun

_FORMS = {
    "index": pyarrow.types.is_integer, "score": pyarrow.types.is_floating, "bag_id": pyarrow.types.is_string,
    "margin": pyarrow.types.is_floating,
}  # fmt: skip
"""The columns that are read, and what their type must be."""


@dataclass(frozen=True)
class ChosenBags:
    """The bags picked for `epoch`, best first: `index` (k,), `score` (k,), and their ids (k,)."""

    epoch: int
    index: Index
    score: Floats
    bag_id: list[str]


def read_selection(run: ReportedRun, epoch: int) -> ChosenBags:
    """The selection made for `epoch`. Raises BadData for a missing or damaged file."""
    table = _read(_file(run, epoch), ["index", "score", "bag_id"])
    index, score = table["index"].to_numpy().astype(np.int64), table["score"].to_numpy().astype(np.float64)
    return ChosenBags(epoch, index, score, [str(name) for name in table["bag_id"].to_pylist()])


def picks_by_epoch(run: ReportedRun) -> Iterator[Index]:
    """The positions of the bags that each epoch was trained on; an epoch without a selection repeats the last."""
    last: Index | None = None
    for epoch in run.epochs:
        path = _file(run, epoch.number)
        last = _read(path, ["index"])["index"].to_numpy() if os.path.lexists(path) else last
        if last is not None:
            yield last


def margins(run: ReportedRun) -> Iterator[tuple[Index, Floats]]:
    """The positions of each epoch's bags, and their margins in training; nothing of epochs that recorded none."""
    for epoch in selected_epochs(run):
        path = _file(run, epoch)
        if "margin" in pyarrow.parquet.read_schema(regular(path)).names:
            table = _read(path, ["index", "margin"])
            yield table["index"].to_numpy().astype(np.int64), table["margin"].to_numpy().astype(np.float64)


def bag_ids(run: ReportedRun, index: Index) -> dict[int, str]:
    """The ids of bags that were chosen at least once, by position."""
    names = dict[int, str]()
    for epoch in selected_epochs(run) if len(index) else ():
        table = _read(_file(run, epoch), ["index", "bag_id"])
        chosen = table["index"].to_numpy()
        for row in np.flatnonzero(np.isin(chosen, index)):
            names[int(chosen[row])] = str(table["bag_id"][int(row)])
        if len(names) == len(index):
            break
    return names


def selected_epochs(run: ReportedRun) -> list[int]:
    """The epochs for which a selection was made."""
    return [epoch.number for epoch in run.epochs if os.path.lexists(_file(run, epoch.number))]


def scored_epochs(run: ReportedRun) -> list[int]:
    """The epochs whose selection was made from scores of the model; empty for random."""
    scored = {epoch.number for epoch in run.epochs if epoch.values["scored"] > 0 and epoch.values["fresh"] != 0}
    return [number for number in selected_epochs(run) if number in scored]


def _file(run: ReportedRun, epoch: int) -> Path:
    return run.path / "selections" / f"epoch={epoch:04d}.parquet"


def _read(path: Path, columns: list[str]) -> Any:  # Any: pyarrow is untyped
    source = regular(path)
    try:
        table = pyarrow.parquet.ParquetFile(source).read(columns=columns)
    except (pyarrow.ArrowException, OSError) as error:
        raise _fault(path, str(error).partition("\n")[0]) from None
    missing = sorted(set(columns) - set(table.column_names))
    if missing:
        raise _fault(path, f"no column {missing[0]}")
    for name in columns:
        if not _FORMS[name](table.schema.field(name).type) or table[name].null_count:
            raise _fault(path, f"{name} of type {table.schema.field(name).type}, {table[name].null_count} of them null")
    if len(table) and table["index"].to_numpy().min() < 0:
        raise _fault(path, "a negative index")
    return table


def _fault(path: Path, found: str) -> BadData:
    return BadData(f"{path}: {found}", "a selection with index, bag_id and score", "delete that file")
