"""Which runs are seeds of the same thing, and which things may be compared: those on the same bags."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from negsift.trainer.report.runs import ReportedRun

BASELINE = "random"

K = TypeVar("K", bound=Hashable)

_NOT_A_SETTING = {"recipe", "seed", "strategy.name"}


@dataclass(frozen=True)
class Estimate:
    """A mean over runs with its standard error (NaN for one run); `count` runs went in."""

    mean: float
    error: float
    count: int

    def text(self, digits: int, sign: str = "") -> str:
        """`0.912 ± 0.008`, or `—` where nothing is known; counts that are all alike need no error."""
        if not self.count:
            return "—"
        silent = math.isnan(self.error) or (digits == 0 and self.error == 0)
        error = "" if silent else f"\u00a0±\u00a0{self.error:,.{digits}f}"
        return f"{self.mean:{sign},.{digits}f}".replace("-", "−") + error


@dataclass(frozen=True)
class RunGroup:
    """Runs that differ in nothing but the seed; `setting` tells it from its strategy's other groups."""

    strategy: str
    setting: str
    number: int
    runs: tuple[ReportedRun, ...]

    @property
    def label(self) -> str:
        """How the group is called in tables and plots."""
        return f"{self.strategy} · {self.setting}" if self.setting else self.strategy

    @property
    def finished(self) -> tuple[ReportedRun, ...]:
        """The runs with a summary."""
        return tuple(run for run in self.runs if run.summary)

    @property
    def shown(self) -> ReportedRun:
        """The run that stands for the group where only one can be shown: the first, finished if any is."""
        return (*self.finished, *self.runs)[0]

    def result(self, key: str) -> Estimate:
        """A number of the summary over the finished runs."""
        return estimate(run.result(key) for run in self.finished)


@dataclass(frozen=True)
class Comparison:
    """Groups that met the same bags, best test AP first; `title` says which bags if there are several."""

    title: str
    groups: tuple[RunGroup, ...]

    @property
    def several(self) -> bool:
        """Whether some group has more runs than one, so that there are means to speak of."""
        return any(len(group.runs) > 1 for group in self.groups)

    def baseline(self, group: RunGroup) -> RunGroup | None:
        """The random group with the same setting as `group`, or the only one there is."""
        random = [other for other in self.groups if other.strategy == BASELINE]
        same = [other for other in random if other.setting == group.setting]
        usable = same or (random if len(random) == 1 else [])
        return usable[0] if usable else None


def estimate(values: Iterable[float]) -> Estimate:
    """Mean and standard error (n - 1 degrees of freedom) of the values that are not NaN."""
    known = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return Estimate(math.nan, math.nan, 0)
    error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else math.nan
    return Estimate(float(known.mean()), error, len(known))


def paired_gain(group: RunGroup, baseline: RunGroup) -> Estimate:
    """Test AP above the baseline's, paired by seed."""
    theirs = {run.seed: run.result("test.ap") for run in baseline.finished}
    return estimate(run.result("test.ap") - theirs[run.seed] for run in group.finished if run.seed in theirs)


def overall(label: str, comparisons: Iterable[Comparison]) -> Estimate:
    """A group's test AP over comparisons, each counted once with its mean over runs."""
    groups = [group for comparison in comparisons for group in comparison.groups if group.label == label]
    return estimate(group.result("test.ap").mean for group in groups)


def compare(runs: Sequence[ReportedRun]) -> tuple[Comparison, ...]:
    """The runs sorted into comparisons and groups; a group keeps its number in all comparisons."""
    data = [key for key in differing(runs) if key.startswith("data.")]
    names = _name_groups(runs)
    number = {name: at for at, name in enumerate(sorted(set(names.values())))}
    comparisons = []
    for members in _by(runs, lambda run: _values(run, data)).values():
        parts = _by(members, lambda run: names[run.path])
        groups = [RunGroup(*name, number[name], tuple(part)) for name, part in parts.items()]
        told = {key.removeprefix("data."): members[0].settings.get(key, "—") for key in data}
        title = ", ".join(f"{key} {value}" for key, value in told.items() if value != "null")
        comparisons.append(Comparison(title, tuple(sorted(groups, key=_rank))))
    return tuple(comparisons)


def differing(runs: Sequence[ReportedRun]) -> list[str]:
    """The configuration keys, sorted, in which these runs are not all alike."""
    every = sorted({key for run in runs for key in run.settings})
    return [key for key in every if len({run.settings.get(key) for run in runs}) > 1]


def _name_groups(runs: Sequence[ReportedRun]) -> dict[Path, tuple[str, str]]:
    """Strategy and setting of every run; a setting spells the keys in which its strategy's runs differ."""
    names: dict[Path, tuple[str, str]] = {}
    for strategy, part in _by(runs, lambda run: run.strategy).items():
        keys = [key for key in differing(part) if key not in _NOT_A_SETTING and not key.startswith("data.")]
        for run in part:
            values = zip(keys, _values(run, keys), strict=True)
            names[run.path] = (strategy, ", ".join(f"{key}={value}" for key, value in values))
    return names


def _by(runs: Iterable[ReportedRun], key: Callable[[ReportedRun], K]) -> dict[K, list[ReportedRun]]:
    found: dict[K, list[ReportedRun]] = defaultdict(list)
    for run in runs:
        found[key(run)].append(run)
    return found


def _values(run: ReportedRun, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(run.settings.get(key, "—") for key in keys)


def _rank(group: RunGroup) -> tuple[float, str]:
    mean = group.result("test.ap").mean
    return (math.inf if math.isnan(mean) else -mean, group.label)
