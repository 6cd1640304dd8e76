"""The trials of a sweep: their runs, and how each of them ended."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from negsift.common.errors import BadData
from negsift.trainer.results.records import ALONE, read_object
from negsift.trainer.results.runs import DEPTH, ReportedRun, folders_in, read_found

FINISHED, STOPPED, FAILED, UNFINISHED = "finished", "stopped", "failed", "unfinished"
DAMAGED = "damaged"
STATES = (FINISHED, STOPPED, FAILED, UNFINISHED, DAMAGED)
SWEEP = "sweep.json"
"""What a sweep's folder says of the sweep."""
_MARKS = {FAILED: "failed.json", STOPPED: "stopped.json"}
"""The file that says how a trial without a summary ended."""


@dataclass(frozen=True)
class Trial:
    """One run of a sweep, by its `state`; `run` is None where it failed without a configuration, or is damaged."""

    name: str
    path: Path
    state: str
    reason: str
    run: ReportedRun | None


def read_trials(folder: Path) -> tuple[Trial, ...]:
    """All trials up to three levels below `folder`, sorted by path. Raises BadData without runs that can be read."""
    below = read_found(folder)
    found = [_trial(run) for run in below.runs]
    found += [Trial(_name(run.path, folder), run.path, DAMAGED, str(run.error), None) for run in below.damaged]
    known = {trial.path for trial in found}
    lost = [path for path in _failed_below(folder, DEPTH) if path not in known]
    found += [Trial(_name(path, folder), path, FAILED, _reason(path, FAILED), None) for path in lost]
    return tuple(sorted(found, key=lambda trial: trial.path))


def runs_of(trials: Sequence[Trial]) -> tuple[ReportedRun, ...]:
    """The runs of the trials that have one."""
    return tuple(trial.run for trial in trials if trial.run)


def _trial(run: ReportedRun) -> Trial:
    marks = (state for state, name in _MARKS.items() if os.path.lexists(run.path / name))
    state = FINISHED if run.summary else next(marks, UNFINISHED)
    return Trial(run.name, run.path, state, _reason(run.path, state), run)


def _reason(path: Path, state: str) -> str:
    """Why a trial failed or was stopped, in one line."""
    if state not in _MARKS:
        return ""
    record = read_object(path / _MARKS[state])
    values = record.leaves()
    if state == FAILED:
        return values.get("error", "")
    reason = values.get("reason", "")
    return f"{reason}, after epoch {values['epoch']}" if "epoch" in values else reason


def _failed_below(folder: Path, depth: int) -> Iterator[Path]:
    for below in folders_in(folder, []) if depth else ():  # `read_found` tells of those that can't be read
        if os.path.lexists(below / _MARKS[FAILED]):
            yield below
        elif not os.path.lexists(below / "config.json"):
            yield from _failed_below(below, depth - 1)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def command_of(folder: Path) -> str:
    """The command that made a sweep's results, by its sweep.json; for other folders the one that reports on them."""
    path = folder / SWEEP
    if not os.path.lexists(path):
        return f"negsift report {folder}"
    command = read_object(path, ALONE).values.get("command")
    if not isinstance(command, str):
        raise BadData(f"{path}: command={command!r}", "the sweep's command as text", ALONE)
    return command
