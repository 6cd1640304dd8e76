"""Gauges that note what they show, in place of Ray's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from negsift.service.monitoring.exporter import Exporter

Shown = list[tuple[str, Mapping[str, str], float]]


@dataclass
class NotedGauge:
    """A gauge of that name."""

    name: str
    shown: Shown

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.shown.append((self.name, tags, value))


@dataclass
class Noted:
    """An exporter that is not started; `shown` is all that it has shown, in order."""

    shown: Shown = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exporter = Exporter(lambda name: NotedGauge(name, self.shown))

    def export(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """What the exporter shows when it shows all again."""
        self.shown.clear()
        self.exporter.export()
        return {(name, frozenset(tags.items())): value for name, tags, value in self.shown}

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series of that name and with these labels; KeyError if there is none."""
        wanted = frozenset(labels.items())
        found = [
            value for (known, tags), value in self.export().items() if known == f"negsift_{name}" and wanted <= tags
        ]
        if not found:
            raise KeyError(name)
        return sum(found)
