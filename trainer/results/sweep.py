"""The results of a sweep: for every setting its strategies, compared with random and with the full set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from negsift.trainer.results.cost import Target, targets_of
from negsift.trainer.results.design import FULL, Settings, as_text, without_sampling
from negsift.trainer.results.groups import RunGroup, baseline_of, group_runs
from negsift.trainer.results.ranks import Ranks, profile, rank, thresholds_for
from negsift.trainer.results.strategy import MAIN, OUTCOMES, Peers, StrategyResults, strategy_results
from negsift.trainer.results.trials import Trial, command_of, read_trials, runs_of
from negsift.trainer.results.versus import corrected

MARGIN = 0.01


@dataclass(frozen=True)
class SettingResults:
    """Strategies with one setting, such as one P-N ratio, highest mean AP first; `full` is in every setting.

    `title` is the setting as text, "" if there is only one; `random` and `full` are labels, None where there is none.
    """

    title: str
    keys: Mapping[str, str]
    strategies: tuple[StrategyResults, ...]
    random: str | None
    full: str | None
    targets: tuple[Target, ...]
    thresholds: tuple[float, ...]
    ranks: Ranks | None


@dataclass(frozen=True)
class SweepResults:
    """All results, the `margin` of non-inferiority, the `command` that made them, and the trials with their states."""

    command: str
    margin: float
    settings: tuple[SettingResults, ...]
    trials: tuple[Trial, ...]

    def states(self) -> dict[str, int]:
        """How many trials ended in each way, of those that occur."""
        names = [trial.state for trial in self.trials]
        return {name: names.count(name) for name in dict.fromkeys(names)}


def read_results(folder: Path, margin: float = MARGIN) -> SweepResults:
    """The results of all runs below `folder`. Raises BadData if there is none that can be read."""
    return sweep_results(read_trials(folder), command_of(folder), margin)


def sweep_results(trials: Sequence[Trial], command: str, margin: float = MARGIN) -> SweepResults:
    """The results of trials; those that are not finished are in no mean."""
    groups = group_runs(runs_of(trials))
    chosen = [group for group in groups if group.strategy != FULL] or groups
    settings = dict.fromkeys(group.setting for group in chosen)
    results = tuple(_setting_results(setting, groups, trials, margin) for setting in settings)
    return SweepResults(command, margin, results, tuple(trials))


def _setting_results(
    setting: Settings, groups: Sequence[RunGroup], trials: Sequence[Trial], margin: float
) -> SettingResults:
    full = next((g for g in groups if g.strategy == FULL and g.setting == without_sampling(setting)), None)
    random = baseline_of(groups, setting)
    here = [group for group in groups if group is full or (group.setting == setting and group.strategy != FULL)]
    reference = full if full and full.finished else random
    targets = targets_of(reference) if reference else {}
    peers = Peers(random, full, targets, margin)
    rows = [strategy_results(group, peers, trials) for group in here]
    for name in OUTCOMES:
        rows = _corrected(rows, name)
    values = {group.label: group.by_block(MAIN) for group in here}
    thresholds = thresholds_for(values)
    rows = [replace(row, profile=profile(values[row.label], thresholds)) for row in rows]
    return SettingResults(
        title=as_text(setting),
        keys=dict(setting),
        strategies=tuple(sorted(rows, key=_order)),
        random=random.label if random else None,
        full=full.label if full else None,
        targets=tuple(targets.values()),
        thresholds=tuple(thresholds.tolist()),
        ranks=rank({label: part for label, part in values.items() if part}),
    )


def _corrected(rows: Sequence[StrategyResults], name: str) -> list[StrategyResults]:
    """The rows with one outcome's p-values corrected for the strategies tried, which random and full are not."""
    tried = {row.label: row.outcomes[name].against_random for row in rows if row.strategy != FULL}
    family = {label: against for label, against in tried.items() if against}
    after = dict(zip(family, corrected(tuple(family.values())), strict=True))
    return [row.with_against_random(name, after[row.label]) if row.label in after else row for row in rows]


def _order(row: StrategyResults) -> tuple[bool, float]:
    return not row.main.mean.count, -row.main.mean.mean
