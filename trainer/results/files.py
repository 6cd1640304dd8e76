"""A sweep's results as files: `results.parquet`, a row a trial, and `summary.json`, all statistics."""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from negsift.common.errors import BadInput
from negsift.common.overrides import flat
from negsift.common.unfinished import replacing
from negsift.trainer.folder import Json
from negsift.trainer.results.notes import notes_on
from negsift.trainer.results.records import read_object
from negsift.trainer.results.sweep import MARGIN, SweepResults, read_results
from negsift.trainer.results.trials import FINISHED, Trial

_INT64 = 2**63


def write_results(folder: Path, margin: float = MARGIN) -> SweepResults:
    """Read the results of all runs below `folder`, and write its results.parquet and summary.json.

    Raises BadInput for the folder of a single run, whose summary.json is another, and for one that can't be written;
    BadData as `read_results` does.
    """
    if os.path.lexists(folder / "config.json"):
        raise BadInput(f"{folder}, the folder of one run", "a folder that holds runs", "name the folder above it")
    results = read_results(folder, margin)
    table = pa.table(trial_columns(results.trials))
    text = json.dumps(as_json(results), indent=1) + "\n"
    _write(folder / "results.parquet", lambda stream: pq.write_table(table, stream))
    _write(folder / "summary.json", lambda stream: stream.write(text.encode()))
    return results


def as_json(results: SweepResults) -> Json:
    """All results, in the form of `summary.json`; what is not finite is None."""
    kept = ("name", "state", "reason")
    trials = [{key: getattr(trial, key) for key in kept} for trial in results.trials]
    values = {field.name: getattr(results, field.name) for field in dataclasses.fields(results)}
    values |= {"trials": trials, "states": results.states(), "notes": notes_on(results)}
    plain: Json = _plain(values)
    return plain


def trial_columns(trials: Sequence[Trial]) -> dict[str, pa.Array]:
    """A column for each key of the trials' summaries, and `config.` and each key of their configurations."""
    rows = [_row(trial) for trial in trials]
    return {key: _column([row.get(key) for row in rows]) for key in dict.fromkeys(key for row in rows for key in row)}


def _row(trial: Trial) -> Json:
    row = {"trial": trial.name, "state": trial.state, "reason": trial.reason}
    config = flat(trial.run.config, "config.") if trial.run else {}
    summary = flat(read_object(trial.path / "summary.json").values) if trial.state == FINISHED else {}
    return row | {key: value for key, value in (summary | config).items() if key not in row}


def _column(values: Sequence[Any]) -> pa.Array:  # Any: JSON
    """The values as one column: truth values, whole numbers, numbers, or else text; lists are JSON."""
    known = [value for value in values if value is not None]
    kinds = {type(value) for value in known}
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and all(-_INT64 <= value < _INT64 for value in known):
        return pa.array(values, pa.int64())
    if kinds and kinds <= {int, float}:
        return pa.array([value if value is None else float(value) for value in values], pa.float64())
    return pa.array([v if v is None or isinstance(v, str) else json.dumps(v) for v in values], pa.string())


def _plain(value: Any) -> Any:  # Any: dataclasses and JSON
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    try:
        with replacing(path) as stream:
            write(stream)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        expected, remedy = "a writable folder with free space", "correct its permissions or free some space"
        raise BadInput(f"{path} not writable ({reason})", expected, remedy) from None
