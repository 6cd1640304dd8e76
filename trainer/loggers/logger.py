"""What a logger is, and how a run uses its loggers: none of them can end the run."""

import functools
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

from negsift.common.overrides import flat
from negsift.trainer.folder import Json

log = logging.getLogger(__name__)
_PATIENCE = 3
"""Failures in a row after which a logger is asked no more: a server that is gone may take minutes to fail."""


class Logger(Protocol):
    """Takes a run's numbers; it is sent to the trainer worker that logs, so it opens what it writes to on first use.

    A resumed run logs its earlier epochs again, in order; a logger leaves out the steps that it has already.
    """

    def log(self, values: Mapping[str, float], step: int) -> None:
        """The finite numbers of epoch `step` by dotted name, such as `val.ap`; the test's come as one step more."""

    def close(self) -> None:
        """Write what is not written yet; the run is over, for now at least."""


@runtime_checkable
class OpenedLogger(Logger, Protocol):
    """A logger that is told of the run before its first epoch."""

    def open(self) -> None:
        """The run begins, or goes on, in this process."""


class RunLoggers:
    """The loggers of one run. What one raises is told once and counted in `failed`, by its name; the run goes on."""

    def __init__(self, loggers: Iterable[Logger]) -> None:
        self._loggers = [(type(logger).__name__, logger) for logger in loggers]
        self._in_a_row = Counter[str]()
        self.failed = Counter[str]()

    def open(self) -> None:
        """Tell the loggers that want to know that the run begins."""
        for name, logger in self._loggers:
            if isinstance(logger, OpenedLogger):
                self._call(name, logger.open)

    def log(self, record: Json, step: int) -> None:
        """Give the numbers of a record, nested as in the run's files, to every logger."""
        values = numbers(record)
        for name, logger in self._loggers:
            if self._in_a_row[name] < _PATIENCE:
                self._call(name, functools.partial(logger.log, values, step))

    def close(self) -> None:
        """Close every logger."""
        for name, logger in self._loggers:
            self._call(name, logger.close)

    def _call(self, name: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  # whatever the library of a logger raises
            if not self.failed[name]:
                reason = " ".join(str(error).split())[:200]
                log.warning("%s failed (%s: %s); the run goes on", name, type(error).__name__, reason)
            self.failed[name] += 1
            self._in_a_row[name] += 1
        else:
            self._in_a_row[name] = 0


def numbers(record: Json) -> dict[str, float]:
    """The finite numbers and truth values of nested objects, by dotted key."""
    found = {key: float(value) for key, value in flat(record).items() if isinstance(value, int | float)}
    return {key: value for key, value in found.items() if math.isfinite(value)}
