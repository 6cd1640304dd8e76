"""What runs cost, and what it costs to reach an AP that is worth reaching."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from negsift.trainer.budget import FORWARDS
from negsift.trainer.results.design import Block
from negsift.trainer.results.estimate import Estimate, estimate
from negsift.trainer.results.groups import RunGroup
from negsift.trainer.results.runs import ReportedRun

TARGET_SHARE = 0.95


@dataclass(frozen=True)
class Target:
    """A validation AP to reach on one set of bags: a share of the best one of the `reference`."""

    data: str
    ap: float
    reference: str


@dataclass(frozen=True)
class TimeToTarget:
    """How many of the runs reached their target, and the median cost until then; NaN unless most of them did."""

    reached: int
    runs: int
    bags: float
    seconds: float


@dataclass(frozen=True)
class Cost:
    """Of a run: bags trained and scored, both together as trainings, seconds in all and without selecting."""

    trained: Estimate
    scored: Estimate
    equivalent: Estimate
    seconds: Estimate
    seconds_without_selection: Estimate
    to_target: TimeToTarget


def cost_of(group: RunGroup, targets: Mapping[str, Target]) -> Cost:
    """The cost of a group's finished runs; seconds are those that the trainer measured."""
    runs = group.finished
    total, select = ([run.total(f"seconds.{stage}") for run in runs] for stage in ("total", "select"))
    return Cost(
        trained=estimate(run.result("bags.trained") for run in runs),
        scored=estimate(run.result("bags.scored") for run in runs),
        equivalent=estimate(run.result("bags.trained") + run.result("bags.scored") / FORWARDS for run in runs),
        seconds=estimate(total),
        seconds_without_selection=estimate(np.subtract(total, select)),
        to_target=time_to_target([(b, r) for b, r in group.pairs if r.summary], targets),
    )


def targets_of(group: RunGroup) -> dict[str, Target]:
    """For each set of bags 95 % of the mean, over the group's runs, of their best validation AP."""
    targets = {}
    for data in sorted({block.data for block in group.blocks}):
        best = estimate(run.highest("val.ap") for run in group.within(data).finished)
        if best.count:
            targets[data] = Target(data, TARGET_SHARE * best.mean, group.label)
    return targets


def time_to_target(runs: Sequence[tuple[Block, ReportedRun]], targets: Mapping[str, Target]) -> TimeToTarget:
    """The median over runs whose bags have a target; a run that never reaches it counts as infinite."""
    costs = [cost_until(run, targets[block.data].ap) for block, run in runs if block.data in targets]
    reached = sum(math.isfinite(bags) for bags, _ in costs)
    if 2 * reached <= len(costs):
        return TimeToTarget(reached, len(costs), math.nan, math.nan)
    bags, seconds = np.median(np.array(costs), axis=0)
    return TimeToTarget(reached, len(costs), float(bags), float(seconds))


def cost_until(run: ReportedRun, ap: float) -> tuple[float, float]:
    """Bags, as trainings, and seconds up to and with the first epoch that reaches the AP; infinite if none does."""
    bags = seconds = 0.0
    for epoch in run.epochs:
        scored, chosen = (np.nan_to_num(epoch.values[key]) for key in ("scored", "chosen"))
        trained = epoch.values["trained"]  # of which older runs have no record: they trained on all positives
        bags += run.result("bags.positive") + chosen if math.isnan(trained) else trained
        bags += scored / FORWARDS
        seconds += np.nan_to_num(epoch.values["seconds.total"])
        if epoch.values["val.ap"] >= ap:
            return bags, seconds
    return math.inf, math.inf
