"""Which runs are seeds of the same thing, and which things may be compared: those on the same bags."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.report.runs import RunFolder

BASELINE = "random"

_NOT_A_SETTING = {"recipe", "seed", "strategy.name"}


@dataclass(frozen=True)
class Estimate:
    """A mean over runs with its standard error (NaN for one run); `count` runs went in."""

    mean: float
    error: float
    count: int

    def text(self, digits: int, sign: str = "") -> str:
        """`0.912 ± 0.008`, or `—` where nothing is known."""
        if not self.count:
            return "—"
        error = "" if math.isnan(self.error) else f" ± {self.error:,.{digits}f}"
        return f"{self.mean:{sign},.{digits}f}".replace("-", "−") + error


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed; `setting` tells it from its strategy's other groups."""

    strategy: str
    setting: str
    number: int
    runs: tuple[RunFolder, ...]

    @property
    def label(self) -> str:
        """How the group is called in tables and plots."""
        return f"{self.strategy} · {self.setting}" if self.setting else self.strategy

    @property
    def finished(self) -> tuple[RunFolder, ...]:
        """The runs with a summary."""
        return tuple(run for run in self.runs if run.summary)

    @property
    def shown(self) -> RunFolder:
        """The run that stands for the group where only one can be shown: the first, finished if any is."""
        return (*self.finished, *self.runs)[0]

    def result(self, key: str) -> Estimate:
        """A number of the summary over the finished runs."""
        return estimate(run.result(key) for run in self.finished)


@dataclass(frozen=True)
class Comparison:
    """Groups that met the same bags, best test AP first; `title` says which bags if there are several."""

    title: str
    groups: tuple[Group, ...]

    def baseline(self, group: Group) -> Group | None:
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


def paired_gain(group: Group, baseline: Group) -> Estimate:
    """Test AP above the baseline's, paired by seed."""
    theirs = {run.seed: run.result("test.ap") for run in baseline.finished}
    return estimate(run.result("test.ap") - theirs[run.seed] for run in group.finished if run.seed in theirs)


def compare(runs: Sequence[RunFolder]) -> tuple[Comparison, ...]:
    """The runs sorted into comparisons and groups; a group keeps its number in all comparisons."""
    keys = differing(runs)
    data = [key for key in keys if key.startswith("data.")]
    naming = {strategy: _setting_keys(part) for strategy, part in _by(runs, ["strategy.name"]).items()}
    named = {run.path: (run.strategy, _spell(run, naming[(run.strategy,)])) for run in runs}
    number = {name: at for at, name in enumerate(sorted(set(named.values())))}
    comparisons = []
    for members in _by(runs, data).values():
        parts: dict[tuple[str, str], list[RunFolder]] = defaultdict(list)
        for run in members:
            parts[named[run.path]].append(run)
        groups = [Group(*name, number[name], tuple(part)) for name, part in parts.items()]
        comparisons.append(Comparison(_spell(members[0], data), tuple(sorted(groups, key=_rank))))
    return tuple(comparisons)


def differing(runs: Sequence[RunFolder]) -> list[str]:
    """The configuration keys, sorted, in which these runs are not all alike."""
    every = sorted({key for run in runs for key in run.settings})
    return [key for key in every if len({run.settings.get(key) for run in runs}) > 1]


def _setting_keys(runs: Sequence[RunFolder]) -> list[str]:
    return [key for key in differing(runs) if key not in _NOT_A_SETTING and not key.startswith("data.")]


def _by(runs: Sequence[RunFolder], keys: Sequence[str]) -> dict[tuple[str, ...], list[RunFolder]]:
    found: dict[tuple[str, ...], list[RunFolder]] = defaultdict(list)
    for run in runs:
        found[tuple(run.settings.get(key, "—") for key in keys)].append(run)
    return found


def _spell(run: RunFolder, keys: Sequence[str]) -> str:
    return ", ".join(f"{key}={run.settings.get(key, '—')}" for key in keys)


def _rank(group: Group) -> tuple[float, str]:
    mean = group.result("test.ap").mean
    return (math.inf if math.isnan(mean) else -mean, group.label)
