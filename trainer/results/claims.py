"""Claims about strategies, judged by a rule that was written down before the runs."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Floats
from negsift.trainer.results.design import FULL, Block
from negsift.trainer.results.intervals import lower_limit
from negsift.trainer.results.runs import ReportedRun
from negsift.trainer.results.significance import holm, more_than_half_p
from negsift.trainer.results.versus import Values, Versus, count_wins, versus

CONFIRMED, NOT_CONFIRMED, UNDECIDED = "confirmed", "not confirmed", "undecided"
LEVEL = 0.05
Where = Mapping[str, str]
"""Dotted keys with the values that runs must have, such as `{"strategy.name": "badge"}`."""

Key = str | Callable[[ReportedRun], float]
"""A number of a run: of its summary, by name, or whatever a function takes from it."""


@dataclass(frozen=True)
class Judgement:
    """What became of a claim, and the numbers that decided it."""

    outcome: str
    numbers: str


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper, and the rule that decides it as a function of the runs."""

    text: str
    judge: Callable[["Evidence"], Judgement]


_ANYWHERE = ("data.target", "data.root", "seed", "fleet.", "log.", "training.threads", "training.keep_weights")
"""What may differ from the base in any case: the block, and where a run happened."""


@dataclass(frozen=True)
class Evidence:
    """The runs of a sweep, and the settings, as text by dotted key, that those have which are not asked for others."""

    runs: Sequence[ReportedRun]
    base: Where

    def row(self, name: str, key: Key = "test.ap") -> Values:
        """A number of each finished run of that name, by its target and seed."""
        take = key if callable(key) else lambda run: run.result(key)
        return {
            Block(run.settings["data.target"], run.seed): take(run)
            for run in self.runs if run.summary and run.title == name
        }  # fmt: skip

    def values(self, where: Where, key: Key = "test.ap") -> Values:
        """A number of each finished run that has these settings, and the base's otherwise, by its target and seed."""
        take = key if callable(key) else lambda run: run.result(key)
        free = (*_ANYWHERE, "sampling.") if where.get("strategy.name") == FULL else _ANYWHERE
        wanted = {name: value for name, value in {**self.base, **where}.items() if not name.startswith(free)}
        chosen = [run for run in self.runs if run.summary and _has(run, wanted)]
        return {Block(run.settings["data.target"], run.seed): take(run) for run in chosen}


def _has(run: ReportedRun, wanted: Where) -> bool:
    """Whether the run has these settings; one of an earlier version lacks keys, which had the default's effect."""
    return all(run.settings.get(name, value) == value for name, value in wanted.items())


@dataclass(frozen=True)
class Pair:
    """Values of two kinds of runs, of which those of the same block are compared."""

    name: str
    mine: Values
    theirs: Values

    @functools.cached_property
    def versus(self) -> Versus:
        """Mine less theirs."""
        return versus(self.mine, self.theirs, self.name)

    @property
    def differences(self) -> Floats:
        """Mine less theirs in each block that both have."""
        shared = sorted(self.mine.keys() & self.theirs.keys())
        return np.array([self.mine[block] - self.theirs[block] for block in shared], dtype=np.float64)

    @property
    def wins(self) -> tuple[int, int]:
        """In how many blocks mine is higher, and in how many the two differ."""
        return int((self.differences > 0).sum()), int((self.differences != 0).sum())

    @property
    def wins_of_targets(self) -> tuple[int, int]:
        """The same over targets, each with its mean over seeds."""
        shared = sorted(self.mine.keys() & self.theirs.keys())
        wins = count_wins(shared, np.array([self.mine[block] - self.theirs[block] for block in shared]))
        return wins.wins, wins.wins + wins.losses

    def text(self) -> str:
        """The mean difference with its interval and p."""
        one = self.versus
        if not one.difference.count:
            return f"{self.name} in no pair"
        interval = f"{one.interval.low:+.4f} to {one.interval.high:+.4f}".replace("-", "−")
        pairs = f"in {one.difference.count} pairs ({interval}, p {one.p.sign_flip:.3g})"
        return f"{self.name} {one.difference.text(4, '+')} {pairs}"


def same_within(margin: float, pair: Pair) -> Judgement:
    """Confirmed if the interval of the difference (95 %) lies within the margin, not if outside it; else undecided."""
    interval = pair.versus.interval
    if -margin < interval.low <= interval.high < margin:
        return Judgement(CONFIRMED, pair.text())
    outside = interval.low >= margin or interval.high <= -margin
    return Judgement(NOT_CONFIRMED if outside else UNDECIDED, pair.text())


def not_below(margin: float, pair: Pair, tried: int = 1) -> Judgement:
    """Confirmed if the one-sided limit of the mean difference (95 %, or of one of so many `tried`, by Bonferroni) is
    above the margin, not if the mean is below it; else undecided.
    """
    difference = pair.differences
    limit = lower_limit(difference, 1 - LEVEL / tried)
    shown = f"{limit:+.4f}".replace("-", "−")
    numbers = pair.text() + (f", one-sided limit {shown}" if len(difference) else "")
    if limit > margin:
        return Judgement(CONFIRMED, numbers)
    return Judgement(NOT_CONFIRMED if pair.versus.difference.mean < margin else UNDECIDED, numbers)


def any_not_below(margin: float, pairs: Sequence[Pair]) -> Judgement:
    """Confirmed if one of the pairs is, as `not_below` says, not confirmed if no mean reaches the margin; else
    undecided.
    """
    found = [not_below(margin, pair, len(pairs)) for pair in pairs]
    outcomes = [one.outcome for one in found]
    best = next(one for one in (CONFIRMED, UNDECIDED, NOT_CONFIRMED) if one in outcomes)
    return Judgement(best, "; ".join(one.numbers for one in found))


def all_above(pairs: Sequence[Pair]) -> Judgement:
    """Confirmed if all differences are above 0 with p ≤ .05 after Holm, not if one is below 0 so; else undecided."""
    found = [pair.versus for pair in pairs]
    p = holm([one.p.sign_flip for one in found])
    sure = [one.difference.mean for one, each in zip(found, p, strict=True) if each <= LEVEL]
    numbers = "; ".join(pair.text() for pair in pairs)
    if len(sure) == len(pairs) and min(sure) > 0:
        return Judgement(CONFIRMED, numbers)
    return Judgement(NOT_CONFIRMED if any(mean < 0 for mean in sure) else UNDECIDED, numbers)


def win_most(pairs: Sequence[Pair], by_target: bool = False) -> Judgement:
    """Confirmed if each wins more than half of its blocks with one-sided p ≤ .05 after Holm, not if one wins at most
    half; else undecided. With `by_target` it is targets that are won, by the mean over seeds.
    """
    counts = [pair.wins_of_targets if by_target else pair.wins for pair in pairs]
    p = holm([more_than_half_p(won, of) for won, of in counts])
    numbers = "; ".join(f"{pair.name} {won} of {of}" for pair, (won, of) in zip(pairs, counts, strict=True))
    if all(each <= LEVEL for each in p):
        return Judgement(CONFIRMED, numbers)
    return Judgement(NOT_CONFIRMED if any(of and 2 * won <= of for won, of in counts) else UNDECIDED, numbers)
