"""Steps of a benchmark, each in a process of its own with a time limit, whose rows count as soon as they are written."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

Row = Sequence[str]


@dataclass(frozen=True)
class Step:
    """A step called `name`, its `heading` and the `columns` of its table, and how many seconds it may take."""

    name: str
    heading: str
    columns: Row
    limit_s: float


@dataclass
class Outcome:
    """What became of a step: its rows so far, a line where it did not come to its end, and its seconds."""

    step: Step
    rows: list[Row] = field(default_factory=list)
    fault: str = ""
    seconds: float = 0.0


def run_steps(
    steps: Sequence[Step], command: Callable[[Step, Path], Sequence[str]], folder: Path, limit_s: float,
    patience: float = 1.0,
) -> Iterator[list[Outcome]]:  # fmt: skip
    """What is known after each step. A step's process writes its rows to the file that its command names.

    All steps together take `limit_s` at most; those that are left then are rows that say so. All limits are `patience`
    times what they are called.
    """
    outcomes = [Outcome(step) for step in steps]
    until = time.monotonic() + limit_s * patience
    for outcome in outcomes:
        left = until - time.monotonic()
        if left < 1:
            outcome.fault = "not begun: the time for all steps was over"
        else:
            _run(outcome, command, folder, min(outcome.step.limit_s * patience, left))
        yield outcomes


def write_row(rows: IO[str], row: Row) -> None:
    """Append a row to a step's file at once, so that it stays whatever comes after."""
    rows.write(json.dumps(list(row)) + "\n")
    rows.flush()


def _run(outcome: Outcome, command: Callable[[Step, Path], Sequence[str]], folder: Path, limit_s: float) -> None:
    rows, log = folder / f"{outcome.step.name}.jsonl", folder / f"{outcome.step.name}.log"
    start = time.monotonic()
    with (
        log.open("w") as stream,
        subprocess.Popen(
            command(outcome.step, rows), stdin=subprocess.PIPE, stdout=stream, stderr=stream, start_new_session=True
        ) as process,
    ):
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with whatever it started
            outcome.fault = f"stopped at its limit of {limit_s:.0f} s"
        else:
            outcome.fault = f"failed ({code}): {_last_line(log)}" if code else ""
    outcome.seconds = time.monotonic() - start
    written = rows.read_text().splitlines() if rows.exists() else []
    outcome.rows = [json.loads(line) for line in written]


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200].replace("|", "/") if lines else "without a word"
