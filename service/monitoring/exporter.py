"""The present value of every series of this process, shown again every few seconds. No Ray in it.

A gauge of Ray's vanishes some 20 s after it was last set, so a series lasts as long as it is kept here and goes away by
itself once it is forgotten. Totals are gauges too: a counter of Ray's is missing before its first event, and stays for
as long as its process lives.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Protocol, Self

PERIOD_S = 5.0

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A metric's name, and its labels with their values."""


class Gauge(Protocol):
    """What shows the values of one metric, as Ray's Gauge does."""

    def set(self, value: float, tags: dict[str, str]) -> None:
        """Show a value for some labels."""


class Exporter:
    """Shows series by gauges, which `make_gauge` makes by name; threads may share it."""

    def __init__(self, make_gauge: Callable[[str], Gauge]) -> None:
        self._make_gauge, self._gauges = make_gauge, dict[str, Gauge]()
        self._values = dict[Series, float]()
        self._sources: list[Callable[[], None]] = []
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def set(self, name: str, value: float, **labels: str) -> None:
        """Show this value from now on."""
        with self._lock:
            self._put((name, tuple(labels.items())), value)

    def add(self, name: str, value: float = 0.0, **labels: str) -> None:
        """Add to a total, which begins at 0."""
        series = name, tuple(labels.items())
        with self._lock:
            self._put(series, self._values.get(series, 0.0) + value)

    def forget(self, **labels: str) -> None:
        """Show no longer the series that have these labels."""
        with self._lock:
            self._values = {
                series: value for series, value in self._values.items() if not labels.items() <= dict(series[1]).items()
            }

    def watch(self, source: Callable[[], None]) -> None:
        """Call `source`, which sets values, each time before all are shown again."""
        self._sources.append(source)

    def export(self) -> None:
        """Show all series again."""
        for source in self._sources:
            source()
        with self._lock:
            for series, value in self._values.items():
                self._put(series, value)

    def start(self) -> Self:
        """Export every PERIOD_S from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="negsift-metrics", daemon=True).start()
        return self

    def stop(self) -> None:
        """Show nothing any more."""
        self._stopped.set()
        self.forget()

    def values(self) -> Mapping[Series, float]:
        """All series now."""
        with self._lock:
            return dict(self._values)

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_S):
            self.export()

    def _put(self, series: Series, value: float) -> None:
        name, labels = series
        if name not in self._gauges:
            self._gauges[name] = self._make_gauge(name)
        self._values[series] = value
        self._gauges[name].set(value, dict(labels))
