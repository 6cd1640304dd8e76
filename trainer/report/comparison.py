"""Groups runs that differ only in their seed, and compares groups that used the same bags."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from negsift.trainer.report.runs import ReportedRun

K = TypeVar("K", bound=Hashable)
BASELINE = "random"
_NOT_A_SETTING = {"recipe", "seed", "strategy.name"}


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` runs with its standard error, which is NaN for a single run."""

    mean: float
    error: float
    count: int

    def text(self, digits: int, sign: str = "") -> str:
        """`0.912 ± 0.008`, or `—` without runs; whole numbers that are all equal have no error."""
        if not self.count:
            return "—"
        mean = f"{self.mean:{sign},.{digits}f}".replace("-", "−")
        no_error = math.isnan(self.error) or (digits == 0 and self.error == 0)
        return mean if no_error else f"{mean}\u00a0±\u00a0{self.error:,.{digits}f}"


@dataclass(frozen=True)
class RunGroup:
    """Runs that differ only in the seed; `setting` distinguishes the groups of one strategy."""

    strategy: str
    setting: str
    number: int
    runs: tuple[ReportedRun, ...]

    @property
    def label(self) -> str:
        """The group's name in tables and plots."""
        return f"{self.strategy} · {self.setting}" if self.setting else self.strategy

    @property
    def finished(self) -> tuple[ReportedRun, ...]:
        """The runs with a summary."""
        return tuple(run for run in self.runs if run.summary)

    @property
    def shown(self) -> ReportedRun:
        """The run to show where only one can be shown: the first finished one, or else the first one."""
        return (*self.finished, *self.runs)[0]

    def result(self, key: str) -> Estimate:
        """A number of the summaries, averaged over the finished runs."""
        return estimate(run.result(key) for run in self.finished)


@dataclass(frozen=True)
class Comparison:
    """Groups that used the same bags, best test AP first; `title` names the bags if there are several comparisons."""

    title: str
    groups: tuple[RunGroup, ...]

    @property
    def several(self) -> bool:
        """Whether some group has more than one run."""
        return any(len(group.runs) > 1 for group in self.groups)

    def baseline(self, group: RunGroup) -> RunGroup | None:
        """The random group with the setting of `group`, or else the only random group; None if there is none."""
        random = [other for other in self.groups if other.strategy == BASELINE]
        same = [other for other in random if other.setting == group.setting]
        return same[0] if same else random[0] if len(random) == 1 else None


def estimate(values: Iterable[float]) -> Estimate:
    """Mean and standard error (n - 1 degrees of freedom) of the values that are not NaN."""
    known = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return Estimate(math.nan, math.nan, 0)
    error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else math.nan
    return Estimate(float(known.mean()), error, len(known))


def paired_gain(group: RunGroup, baseline: RunGroup) -> Estimate:
    """The difference of test AP to the baseline, paired by seed."""
    by_seed = {run.seed: run.result("test.ap") for run in baseline.finished}
    return estimate(run.result("test.ap") - by_seed[run.seed] for run in group.finished if run.seed in by_seed)


def overall(label: str, comparisons: Iterable[Comparison]) -> Estimate:
    """The mean test AP of a group over comparisons, each of which counts once with its mean over runs."""
    groups = [group for comparison in comparisons for group in comparison.groups if group.label == label]
    return estimate(group.result("test.ap").mean for group in groups)


def compare(runs: Sequence[ReportedRun]) -> tuple[Comparison, ...]:
    """The runs sorted into comparisons and groups; a group has the same number in all comparisons."""
    data = [key for key in differing(runs) if key.startswith("data.")]
    names = _name_groups(runs)
    numbers = {name: number for number, name in enumerate(sorted(set(names.values())))}
    comparisons = []
    for members in _grouped(runs, lambda run: tuple(run.settings.get(key, "—") for key in data)).values():
        parts = _grouped(members, lambda run: names[run.path])
        groups = [RunGroup(*name, numbers[name], tuple(part)) for name, part in parts.items()]
        values = {key.removeprefix("data."): members[0].settings.get(key, "—") for key in data}
        title = ", ".join(f"{key} {value}" for key, value in values.items() if value != "null")
        comparisons.append(Comparison(title, tuple(sorted(groups, key=_rank))))
    return tuple(comparisons)


def differing(runs: Sequence[ReportedRun]) -> list[str]:
    """The configuration keys, sorted, in which the runs differ."""
    keys = sorted({key for run in runs for key in run.settings})
    return [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]


def _name_groups(runs: Sequence[ReportedRun]) -> dict[Path, tuple[str, str]]:
    """The strategy and the setting of every run; a setting lists the keys in which the strategy's runs differ."""
    names: dict[Path, tuple[str, str]] = {}
    for strategy, part in _grouped(runs, lambda run: run.strategy).items():
        keys = [key for key in differing(part) if key not in _NOT_A_SETTING and not key.startswith("data.")]
        for run in part:
            names[run.path] = (strategy, ", ".join(f"{key}={run.settings.get(key, '—')}" for key in keys))
    return names


def _grouped(runs: Iterable[ReportedRun], key: Callable[[ReportedRun], K]) -> dict[K, list[ReportedRun]]:
    groups: dict[K, list[ReportedRun]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return groups


def _rank(group: RunGroup) -> tuple[float, str]:
    mean = group.result("test.ap").mean
    return (math.inf if math.isnan(mean) else -mean, group.label)
