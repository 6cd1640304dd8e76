"""One strategy against another, in the blocks that both have."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from negsift.common.arrays import Floats
from negsift.trainer.results.design import Block
from negsift.trainer.results.estimate import Estimate, estimate
from negsift.trainer.results.intervals import Interval, bca_interval, lower_limit
from negsift.trainer.results.significance import holm, sign_flip_p, smallest_p, wilcoxon_p, wins_p

Values = Mapping[Block, float]


@dataclass(frozen=True)
class Probabilities:
    """p of both tests, and the smallest that so many pairs can give."""

    sign_flip: float
    wilcoxon: float
    smallest: float


@dataclass(frozen=True)
class Wins:
    """On how many sets of bags the mean over seeds is higher, and lower, with the p of a fair coin."""

    wins: int
    losses: int
    p: float


@dataclass(frozen=True)
class Versus:
    """Values less those of `other`, paired by block; `unpaired` blocks are known of one of the two alone.

    `interval` is BCa's (95 %), `lower_limit` one-sided (95 %), by Student's t. `p` has no correction, `holm` is
    corrected for the `tried` strategies that are compared with the same baseline. `improvement` is the probability
    that a run has a higher value than a run of the other on the same bags.
    """

    other: str
    difference: Estimate
    unpaired: int
    interval: Interval
    lower_limit: float
    p: Probabilities
    holm: Probabilities
    tried: int
    improvement: float
    wins: Wins


def versus(mine: Values, theirs: Values, other: str) -> Versus:
    """Values by block against those of `other`, as the only test of its family."""
    shared = sorted(mine.keys() & theirs.keys())
    difference = np.array([mine[block] - theirs[block] for block in shared], dtype=np.float64)
    p = Probabilities(sign_flip_p(difference), wilcoxon_p(difference), smallest_p(len(shared)))
    return Versus(
        other, estimate(difference), len(mine.keys() ^ theirs.keys()), bca_interval(difference),
        lower_limit(difference), p, p, 1, probability_of_improvement(mine, theirs), count_wins(shared, difference),
    )  # fmt: skip


def corrected(family: Sequence[Versus]) -> tuple[Versus, ...]:
    """The members of a family with their p-values corrected for its size."""
    tried = len(family)
    flips, ranks = (holm([getattr(one.p, test) for one in family]) for test in ("sign_flip", "wilcoxon"))
    return tuple(
        replace(one, holm=Probabilities(flip, rank, min(1.0, tried * one.p.smallest)), tried=tried)
        for one, flip, rank in zip(family, flips, ranks, strict=True)
    )


def probability_of_improvement(mine: Values, theirs: Values) -> float:
    """The share of pairs of runs, of any seeds, on the same bags in which mine is higher, a tie half; mean over bags.

    Agarwal et al., arXiv 2108.13264, section 4.3. NaN without bags that both have.
    """
    shares = []
    for data in sorted({block.data for block in mine} & {block.data for block in theirs}):
        ours, others = (np.array([v for block, v in values.items() if block.data == data]) for values in (mine, theirs))
        difference = ours[:, None] - others
        shares.append(float(np.mean((difference > 0) + (difference == 0) / 2)))
    return math.nan if not shares else float(np.mean(shares))


def count_wins(blocks: Sequence[Block], difference: Floats) -> Wins:
    """Wins and losses over sets of bags, by the sign of the mean difference (n,) of their blocks; ties are neither."""
    means = [difference[[block.data == data for block in blocks]].mean() for data in {block.data for block in blocks}]
    wins, losses = sum(bool(mean > 0) for mean in means), sum(bool(mean < 0) for mean in means)
    return Wins(wins, losses, wins_p(wins, losses))
