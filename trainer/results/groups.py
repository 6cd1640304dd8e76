"""Groups runs that differ only in their block, and compares groups that used the same bags."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from negsift.trainer.results.design import BASELINE, FULL, Block, Design, GroupName, Settings
from negsift.trainer.results.estimate import Estimate, estimate
from negsift.trainer.results.runs import ReportedRun

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True)
class RunGroup:
    """Runs, each with its block, that differ in nothing else; `arm` and `level` number strategies and settings."""

    name: GroupName
    arm: int
    level: int
    runs: tuple[ReportedRun, ...]
    blocks: tuple[Block, ...]

    @property
    def strategy(self) -> str:
        """The strategy's name."""
        return self.name.strategy

    @property
    def setting(self) -> Settings:
        """What distinguishes the groups of one strategy."""
        return self.name.setting

    @property
    def label(self) -> str:
        """The group's name in tables and plots."""
        return self.name.label

    @property
    def pairs(self) -> tuple[tuple[Block, ReportedRun], ...]:
        """The runs with their blocks."""
        return tuple(zip(self.blocks, self.runs, strict=True))

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

    def by_block(self, key: str) -> dict[Block, float]:
        """A number of the summaries by block, where it is known; runs that repeat a block count as their mean."""
        parts = by_key(self.pairs, lambda pair: pair[0])
        means = {block: estimate(run.result(key) for _, run in parts[block]) for block in sorted(parts)}
        return {block: mean.mean for block, mean in means.items() if mean.count}

    def within(self, data: str) -> "RunGroup":
        """The group with its runs on these bags alone."""
        kept = [(block, run) for block, run in self.pairs if block.data == data]
        return replace(self, runs=tuple(run for _, run in kept), blocks=tuple(block for block, _ in kept))


@dataclass(frozen=True)
class Comparison:
    """Groups that used the same bags, best test AP first; `title` names the bags."""

    title: str
    groups: tuple[RunGroup, ...]

    @property
    def several(self) -> bool:
        """Whether some group has more than one run."""
        return any(len(group.runs) > 1 for group in self.groups)

    def baseline(self, group: RunGroup) -> RunGroup | None:
        """The random group with the setting of `group`; None if there is none. `full` may take the only one."""
        random = [other for other in self.groups if other.strategy == BASELINE]
        return baseline_of(random, group.setting) or (
            random[0] if group.strategy == FULL and len(random) == 1 else None
        )

    def gain(self, group: RunGroup) -> Estimate:
        """The difference of test AP to the baseline, paired by block; empty without a baseline."""
        baseline = self.baseline(group)
        if baseline is None or baseline is group:
            return estimate([])
        mine, theirs = group.by_block("test.ap"), baseline.by_block("test.ap")
        return estimate(value - theirs[block] for block, value in mine.items() if block in theirs)


def baseline_of(groups: Iterable[RunGroup], setting: Settings) -> RunGroup | None:
    """The random group of a setting, of several the one with the usual options."""
    random = [group for group in groups if group.strategy == BASELINE and group.setting == setting]
    return next((group for group in random if group.name.plain), random[0] if random else None)


def overall(label: str, comparisons: Iterable[Comparison]) -> Estimate:
    """The mean test AP of a group over comparisons, each of which counts once with its mean over runs."""
    groups = [group for comparison in comparisons for group in comparison.groups if group.label == label]
    return estimate(group.result("test.ap").mean for group in groups)


def compare(runs: Sequence[ReportedRun]) -> tuple[Comparison, ...]:
    """The runs sorted into comparisons and groups; a group looks the same in all comparisons."""
    groups, design = group_runs(runs), Design.of(runs)
    titles = dict.fromkeys(design.block(run).data for run in runs)
    parts = {title: [group.within(title) for group in groups] for title in titles}
    known = {title: sorted((group for group in part if group.runs), key=_rank) for title, part in parts.items()}
    return tuple(Comparison(title, tuple(groups)) for title, groups in known.items())


def group_runs(runs: Sequence[ReportedRun]) -> tuple[RunGroup, ...]:
    """The runs sorted into groups, by setting and strategy."""
    design = Design.of(runs)
    parts = by_key(runs, design.name)
    names = sorted(parts, key=lambda name: name.order)
    arms = sorted({name.arm for name in names if name.strategy not in (BASELINE, FULL)})
    groups = []
    for name in names:
        arm = arms.index(name.arm) if name.arm in arms else 0
        alike = dict.fromkeys(other.setting for other in names if (other.strategy == FULL) is (name.strategy == FULL))
        blocks = tuple(design.block(run) for run in parts[name])
        groups.append(RunGroup(name, arm, list(alike).index(name.setting), tuple(parts[name]), blocks))
    return tuple(groups)


def by_key(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """The items by key, in the order in which the keys come first."""
    parts: dict[K, list[T]] = defaultdict(list)
    for item in items:
        parts[key(item)].append(item)
    return parts


def _rank(group: RunGroup) -> tuple[float, str]:
    mean = group.result("test.ap").mean
    return (math.inf if math.isnan(mean) else -mean, group.label)
