"""Reads run folders: the configuration, the metrics of each epoch, and the summary."""

import logging
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from negsift.common.errors import BadData
from negsift.common.guards import Guards
from negsift.common.regular_file import regular
from negsift.trainer.results.records import read_lines, read_object

log = logging.getLogger(__name__)
STAGES = ("prepare", "score", "merge", "select", "train", "evaluate", "total")
DEPTH = 3

_EPOCH = (
    *(
        "loss",
        "val.ap",
        "val.roc_auc",
        "fresh",
        "pool",
        "chosen",
        "trained",
        "scored",
        "dropped",
        "filled",
        "retries",
        "considered",
    ),
    *("oldest", "overlap", "coverage"),
    *(f"guarded.{guard.name}" for guard in fields(Guards)),
    *(f"seconds.{stage}" for stage in STAGES),
)
_SUMMARY = (
    *("epochs_run", "best_epoch", "val.ap", "val.roc_auc", "test.ap", "test.roc_auc", "last.ap", "last.roc_auc"),
    *("bags.positive", "bags.pool", "bags.descendants", "bags.k", "bags.trained", "bags.scored"),
    *("instances.bags", "instances.ap", "instances.roc_auc"),
)


@dataclass(frozen=True)
class EpochMetrics:
    """One line of `metrics.jsonl`: `values` by dotted key, NaN for absent ones."""

    number: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class RunSummary:
    """`summary.json`: `values` by dotted key, NaN for absent ones."""

    values: Mapping[str, float]
    dropped_instances: tuple[str, ...]
    versions: Mapping[str, str]
    machine: str


@dataclass(frozen=True)
class ReportedRun:
    """One run; `settings` is its `config` with dotted keys, and `summary` is None unless the run is finished."""

    path: Path
    name: str
    config: Mapping[str, Any]  # Any: JSON
    settings: Mapping[str, str]
    epochs: tuple[EpochMetrics, ...]
    summary: RunSummary | None

    @property
    def title(self) -> str:
        """What its configuration calls the run, if anything."""
        return self.settings.get("name", "")

    @property
    def strategy(self) -> str:
        """The strategy's name."""
        return self.settings["strategy.name"]

    @property
    def seed(self) -> str:
        """The run's seed, as text."""
        return self.settings["seed"]

    def total(self, key: str) -> float:
        """The sum of a number over the epochs; absent values count as 0."""
        return float(np.nansum([epoch.values[key] for epoch in self.epochs]))

    def highest(self, key: str) -> float:
        """The maximum of a number over the epochs; NaN if it is absent in all of them."""
        values = (epoch.values[key] for epoch in self.epochs)
        return max((value for value in values if not math.isnan(value)), default=math.nan)

    def result(self, key: str) -> float:
        """A number of the summary; NaN without a summary."""
        return math.nan if self.summary is None else self.summary.values[key]


@dataclass(frozen=True)
class DamagedRun:
    """A run's folder that can't be read, with the error that says why."""

    path: Path
    error: BadData


@dataclass(frozen=True)
class FoundRuns:
    """The runs in a folder, and those left out since they are damaged."""

    runs: tuple[ReportedRun, ...]
    damaged: tuple[DamagedRun, ...]


def read_runs(folder: Path) -> tuple[ReportedRun, ...]:
    """The run in `folder`, or all runs up to three levels below it, sorted by path. Raises BadData without runs.

    Folders that can't be read, and damaged runs beside others, are left out and counted in the log.
    """
    return read_found(folder).runs


def read_found(folder: Path) -> FoundRuns:
    """What `read_runs` gives, with the runs that it leaves out."""
    unreadable: list[Path] = []
    paths = sorted(_run_paths(folder, DEPTH, unreadable))
    left_out = f"{len(unreadable)} that can't be read left out, the first: {unreadable[0]}" if unreadable else ""
    if not paths:
        fault = "contains no run" if os.path.isdir(folder) else "is no folder"
        fault += f" (folders: {left_out})" if left_out else ""
        expected = "a run's folder (with a config.json), or a folder with runs up to three levels below"
        raise BadData(f"{folder}, which {fault}", expected, "name the folder that a run was written to")
    if left_out:
        log.warning("folders: %s", left_out)
    runs, damaged = list[ReportedRun](), list[DamagedRun]()
    for path in paths:
        try:
            runs.append(_read_run(path, folder))
        except BadData as error:
            damaged.append(DamagedRun(path, error))
    if not runs:
        raise damaged[0].error
    if damaged:
        log.warning("%d damaged runs left out, the first: %s", len(damaged), damaged[0].error)
    return FoundRuns(tuple(runs), tuple(damaged))


def folders_in(folder: Path, unreadable: list[Path]) -> list[Path]:
    """The folders in a folder, but for hidden ones; a folder that can't be read is added to `unreadable`."""
    try:
        names = os.listdir(f"{folder}/.")  # with the dot it has to be searchable, too
    except OSError:
        unreadable.append(folder)
        return []
    return [folder / name for name in names if name[0] != "." and os.path.isdir(folder / name)]


def require_selections(run: Path) -> None:
    """Raise BadData for a recorded selection that is no Parquet file."""
    for path in sorted(run.glob("selections/epoch=*.parquet")):
        try:
            pq.read_metadata(regular(path))
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise BadData(f"{path}: {reason}", "a recorded selection", "delete that file") from None


def _run_paths(folder: Path, depth: int, unreadable: list[Path]) -> Iterator[Path]:
    if os.path.isfile(folder / "config.json"):
        yield folder
    elif depth and os.path.isdir(folder):
        for below in folders_in(folder, unreadable):
            yield from _run_paths(below, depth - 1, unreadable)


def _read_run(path: Path, folder: Path) -> ReportedRun:
    config = read_object(path / "config.json")
    settings = config.leaves()
    for key in ("strategy.name", "seed"):
        if key not in settings:
            raise config.fault(f"no {key}", "the configuration of a run")
    require_selections(path)
    name = path.resolve().name if path == folder else path.relative_to(folder).as_posix()
    return ReportedRun(path, name, config.values, settings, _read_epochs(path), _read_summary(path))


def _read_epochs(path: Path) -> tuple[EpochMetrics, ...]:
    """The epochs by number; of two lines about an epoch, which a resumed run may have, the later one counts."""
    if not os.path.lexists(path / "metrics.jsonl"):
        return ()
    records = {record.whole("epoch"): record for record in read_lines(path / "metrics.jsonl")}
    values = {number: {key: record.number(key) for key in _EPOCH} for number, record in records.items()}
    return tuple(EpochMetrics(number, values[number]) for number in sorted(values))


def _read_summary(path: Path) -> RunSummary | None:
    if not os.path.lexists(path / "summary.json"):
        return None
    record = read_object(path / "summary.json")
    dropped, versions = record.texts("dropped_instances"), dict(record.leaves("versions"))
    machine = versions.pop("machine", "")
    return RunSummary({key: record.number(key) for key in _SUMMARY}, dropped, versions, machine)
