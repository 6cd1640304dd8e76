"""What differs among runs, and what each difference is: another block, another strategy, another setting."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from negsift.trainer.results.runs import ReportedRun

BASELINE, FULL = "random", "full"
_ABSENT = "—"
_SEEDS = ("seed", "data.bag_seed")
_WITHOUT_EFFECT = ("recipe", "name", "training.workers", "training.keep_weights", "log.", "fleet.")
_WITH_EFFECT = ("fleet.block", "fleet.scoring.")

Settings = tuple[tuple[str, str], ...]
"""Keys with their values."""


@dataclass(frozen=True, order=True)
class Block:
    """What two strategies have to share to be compared as a pair: the bags and the seed."""

    data: str
    seed: str


@dataclass(frozen=True)
class GroupName:
    """What the runs of a group have in common, as far as it differs from other groups.

    `options` are the strategy's own; `plain` means that they are those of most runs. Of runs with a name of their own
    `strategy` is that name.
    """

    strategy: str
    options: Settings
    setting: Settings
    plain: bool

    @property
    def arm(self) -> str:
        """The strategy with its options."""
        return " · ".join(part for part in (self.strategy, as_text(self.options)) if part)

    @property
    def label(self) -> str:
        """The strategy with its options and its setting."""
        return " · ".join(part for part in (self.arm, as_text(self.setting)) if part)

    @property
    def order(self) -> tuple[list[tuple[float, str]], str]:
        """A key to sort by: setting, numbers as numbers, then strategy."""
        return [(_number(value), value) for _, value in self.setting], self.arm


@dataclass(frozen=True)
class Design:
    """The keys in which runs differ, by what they mean; `usual` has the most common value of each. Runs with a name of
    their own are told from others by it, and from each other by `setting_of` their name.
    """

    data: tuple[str, ...]
    seeds: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    setting: tuple[str, ...]
    usual: dict[str, str]
    setting_of: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, runs: Sequence[ReportedRun]) -> Self:
        """The design that the runs show. Where a run happened is no part of it; how `full` samples isn't either."""
        changed, unnamed = differing(runs), [run for run in runs if not run.title]
        data = [key for key in changed if key.startswith("data.") and key not in _SEEDS]
        parts = {one.strategy: [run for run in unnamed if run.strategy == one.strategy] for one in unnamed}
        options = {name: tuple(key for key in differing(part) if _is_option(key)) for name, part in parts.items()}
        sampled = differing([run for run in unnamed if run.strategy != FULL])
        setting = [key for key in differing(unnamed) if _is_setting(key) and (not _is_sampling(key) or key in sampled)]
        named = {one.title: [run for run in runs if run.title == one.title] for one in runs if one.title}
        of_name = {name: tuple(filter(_distinguishes, differing(part))) for name, part in named.items()}
        usual = {key: Counter(_value(run, key) for run in runs).most_common(1)[0][0] for key in changed}
        seeds = tuple(key for key in _SEEDS if key in changed or key == "seed")
        return cls(tuple(data) or ("data.target",), seeds, options, tuple(setting), usual, of_name)

    def block(self, run: ReportedRun) -> Block:
        """The bags, such as `target 3`, and the seed of a run."""
        values = {key.removeprefix("data."): _value(run, key) for key in self.data}
        data = ", ".join(f"{key} {value}" for key, value in values.items() if value != "null")
        return Block(data, "/".join(_value(run, key) for key in self.seeds))

    def name(self, run: ReportedRun) -> GroupName:
        """The group of a run."""
        if run.title:
            return GroupName(run.title, (), tuple((key, _value(run, key)) for key in self.setting_of[run.title]), True)
        options = tuple((key, _value(run, key)) for key in self.options[run.strategy])
        kept = [key for key in self.setting if run.strategy != FULL or not _is_sampling(key)]
        plain = all(self.usual[key] == value for key, value in options)
        return GroupName(run.strategy, options, tuple((key, _value(run, key)) for key in kept), plain)


def differing(runs: Iterable[ReportedRun]) -> list[str]:
    """The configuration keys, sorted, in which the runs differ; a run of a version without a key differs in none."""
    values: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for key, value in run.settings.items():
            values[key].add(value)
    return sorted(key for key, found in values.items() if len(found) > 1)


def as_text(settings: Settings) -> str:
    """`key=value` for each of them."""
    return ", ".join(f"{key}={value}" for key, value in settings)


def without_sampling(setting: Settings) -> Settings:
    """The part of a setting that `full` has, too."""
    return tuple((key, value) for key, value in setting if not _is_sampling(key))


def _value(run: ReportedRun, key: str) -> str:
    return run.settings.get(key, _ABSENT)


def _is_option(key: str) -> bool:
    return key.startswith("strategy.") and key != "strategy.name"


def _is_sampling(key: str) -> bool:
    return key.startswith("sampling.")


def _is_setting(key: str) -> bool:
    without_effect = key.startswith(_WITHOUT_EFFECT) and not key.startswith(_WITH_EFFECT)
    return not without_effect and key != "seed" and not key.startswith(("data.", "strategy."))


def _distinguishes(key: str) -> bool:
    return _is_setting(key) or key.startswith("strategy.")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
