"""How far a sweep is: one live table in a terminal, or a line for each trial that ends where output is piped."""

import sys
import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from negsift.deploy.sweep.folder import SweepFolder, TrialState
from negsift.deploy.sweep.trial import TrialSpec

_NEVER = float("nan")


@dataclass
class RunningTrial:
    """A trial that runs now: its epochs so far, and when it began here."""

    trial: TrialSpec
    since: float = field(default_factory=time.monotonic)
    first: int | None = None
    epoch: int | None = None
    best: float = _NEVER

    @property
    def seconds_left(self) -> float:
        """Until its last epoch at the pace so far; NaN before the second epoch is known. It may end earlier."""
        if self.epoch is None or self.first is None:
            return _NEVER
        pace = (time.monotonic() - self.since) / (self.epoch - self.first + 1)
        return pace * (self.trial.config.training.epochs - 1 - self.epoch)


class SweepProgress:
    """Shows on `console` what happens to the trials, of which `waiting` have to run. A context manager."""

    def __init__(self, folder: SweepFolder, waiting: int, parallel: int, console: Console | None = None) -> None:
        self._folder, self._total, self._parallel = folder, waiting, max(1, parallel)
        self._console = console or Console(file=sys.stdout, highlight=False)  # this one, whatever is redirected later
        self._running: dict[str, RunningTrial] = {}
        self._seconds: list[float] = []
        self._ended = 0
        self._live = Live(get_renderable=self.table, console=self._console, refresh_per_second=2, transient=True)

    def begin(self, trial: TrialSpec) -> None:
        """A trial runs now."""
        self._running[trial.name] = RunningTrial(trial)

    def report(self, trial: TrialSpec, epoch: int, val_ap: float) -> None:
        """A trial has ended an epoch."""
        running = self._running.setdefault(trial.name, RunningTrial(trial))
        running.first = epoch if running.first is None else running.first
        running.epoch, running.best = epoch, max(val_ap, running.best) if running.best == running.best else val_ap

    def end(self, trial: TrialSpec) -> None:
        """A trial runs no more, for whatever reason: its folder says which."""
        running = self._running.pop(trial.name, None)
        if running is None:
            return
        seconds, state = time.monotonic() - running.since, self._folder.state(trial)
        self._ended += 1
        if state is TrialState.FINISHED:
            self._seconds.append(seconds)
        outcome = f"{self._outcome(trial, state)}, {duration(seconds)}"
        self._console.print(f"[{self._ended}/{self._total}] {outcome}", markup=False)

    def __enter__(self) -> "SweepProgress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def _outcome(self, trial: TrialSpec, state: TrialState) -> str:
        run = self._folder.run(trial)
        if state is TrialState.FINISHED and (summary := run.summary) is not None:
            ap = summary["test"]["ap"]
            return f"{trial.name}: test AP {'undefined' if ap is None else f'{ap:.4f}'}, {summary['epochs_run']} epochs"
        return f"{trial.name}: {state.value if state.ended else TrialState.FAILED.value}"

    def table(self) -> Table:
        """What is shown: a row for each trial that runs."""
        table = Table("trial", "epoch", "val AP", "time left", box=None, pad_edge=False, title_justify="left")
        for running in list(self._running.values()):
            epochs = running.trial.config.training.epochs
            epoch = "—" if running.epoch is None else f"{running.epoch + 1}/{epochs}"
            table.add_row(running.trial.name, epoch, _number(running.best), duration(running.seconds_left))
        table.caption = f"{self._ended} of {self._total} ended, {duration(self._left())} left"
        return table

    def _left(self) -> float:
        if not self._seconds:
            return _NEVER
        each, waiting = sum(self._seconds) / len(self._seconds), self._total - self._ended
        return each * waiting / self._parallel


def duration(seconds: float) -> str:
    """Seconds as `1 h 05 min`, `3 min 20 s` or `12 s`; `—` for NaN."""
    if seconds != seconds:
        return "—"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _number(value: float) -> str:
    return "—" if value != value else f"{value:.4f}"
