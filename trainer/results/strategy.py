"""The results of one strategy in one setting."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from negsift.trainer.results.cost import Cost, Target, cost_of
from negsift.trainer.results.estimate import Estimate, estimate
from negsift.trainer.results.groups import RunGroup
from negsift.trainer.results.trials import STATES, Trial
from negsift.trainer.results.versus import Versus, versus

MAIN = "test.ap"
OUTCOMES = (MAIN, "last.ap", "test.roc_auc")
"""AP at the best validation epoch, by which strategies are ranked; after the last epoch; ROC-AUC at the best one."""


@dataclass(frozen=True)
class BlockResult:
    """The outcomes in one block, by name."""

    data: str
    seed: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """One outcome: its mean over all blocks, its means over seeds by bags, and the comparisons; None without a pair."""

    mean: Estimate
    by_data: Mapping[str, Estimate]
    against_random: Versus | None
    against_full: Versus | None


@dataclass(frozen=True)
class StrategyResults:
    """A strategy: its trials by state, its outcomes by name, and its cost.

    `label` is its `arm`, the strategy with its options, and the setting.
    `trained_against_random` and `trained_against_full` are the bags that it trains on over theirs, in the same blocks.
    `non_inferior` says whether its AP is shown to be no more than the margin below the full set's; None if there is
    nothing to compare. `profile` is the share of blocks with at least each of the setting's thresholds.
    """

    label: str
    arm: str
    strategy: str
    trials: Mapping[str, int]
    outcomes: Mapping[str, Outcome]
    cost: Cost
    trained_against_random: float
    trained_against_full: float
    non_inferior: bool | None
    profile: tuple[float, ...]
    blocks: tuple[BlockResult, ...]

    @property
    def main(self) -> Outcome:
        """AP on the test bags at the best validation epoch."""
        return self.outcomes[MAIN]

    def with_against_random(self, name: str, against: Versus) -> Self:
        """The same with another comparison to random in one outcome."""
        outcome = replace(self.outcomes[name], against_random=against)
        return replace(self, outcomes={**self.outcomes, name: outcome})


@dataclass(frozen=True)
class Peers:
    """What a setting's strategies are compared with, and the APs to reach by set of bags."""

    random: RunGroup | None
    full: RunGroup | None
    targets: Mapping[str, Target]
    margin: float


def strategy_results(group: RunGroup, peers: Peers, trials: Sequence[Trial]) -> StrategyResults:
    """The results of a group, before any correction for other strategies and without a profile."""
    outcomes = {name: _outcome(group, name, peers) for name in OUTCOMES}
    to_full = outcomes[MAIN].against_full
    paths = {run.path for run in group.runs}
    states = Counter(trial.state for trial in trials if trial.path in paths)
    return StrategyResults(
        label=group.label,
        arm=group.name.arm,
        strategy=group.strategy,
        trials={state: states[state] for state in STATES},
        outcomes=outcomes,
        cost=cost_of(group, peers.targets),
        trained_against_random=_trained(group, peers.random),
        trained_against_full=_trained(group, peers.full),
        non_inferior=to_full.lower_limit > -peers.margin if to_full and to_full.difference.count > 1 else None,
        profile=(),
        blocks=_blocks(group),
    )


def _outcome(group: RunGroup, name: str, peers: Peers) -> Outcome:
    values = group.by_block(name)
    data = dict.fromkeys(block.data for block in group.blocks)
    by_data = {part: estimate(value for block, value in values.items() if block.data == part) for part in data}
    against = (_against(group, other, name) for other in (peers.random, peers.full))
    return Outcome(estimate(values.values()), by_data, *against)


def _against(group: RunGroup, other: RunGroup | None, name: str) -> Versus | None:
    if other is None or other is group:
        return None
    found = versus(group.by_block(name), other.by_block(name), other.label)
    return found if found.difference.count else None


def _trained(group: RunGroup, other: RunGroup | None) -> float:
    """Bags trained over those of the other, in the blocks that both have; NaN without any."""
    mine, theirs = (part.by_block("bags.trained") if part else {} for part in (group, other))
    shared = sorted(mine.keys() & theirs.keys())
    return sum(mine[block] for block in shared) / max(1.0, sum(theirs[block] for block in shared)) if shared else np.nan


def _blocks(group: RunGroup) -> tuple[BlockResult, ...]:
    values = {name: group.by_block(name) for name in OUTCOMES}
    known = sorted({block for block, run in group.pairs if run.summary})
    return tuple(
        BlockResult(block.data, block.seed, {name: values[name].get(block, np.nan) for name in OUTCOMES})
        for block in known
    )
