"""Tests of paired differences that need no distribution, and Holm's correction for several of them."""

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Floats

MOST_EXACT = 17
DRAWS = 100_000
_STEPS = 2.0**40
"""Differences are counted in steps of 2^-40: sums of whole numbers that should be equal are equal."""


def sign_flip_p(difference: Floats) -> float:
    """Two-sided p of the hypothesis that the sign of each difference (n,) is a coin's; NaN without differences.

    It is the share of sign assignments whose sum is at least as far from 0 as the sum found: of all 2^n up to n = 17,
    beyond of 100,000 draws and the one found.
    """
    if not len(difference):
        return np.nan
    steps = np.round(np.asarray(difference) * _STEPS)
    sums, found = _sums(steps), abs(steps.sum())
    extreme = int((np.abs(sums) >= found).sum())
    return extreme / len(sums) if len(steps) <= MOST_EXACT else (extreme + 1) / (len(sums) + 1)


def wilcoxon_p(difference: Floats) -> float:
    """Wilcoxon's signed-rank test, two-sided, exact also with ties; differences of 0 are left out, as Wilcoxon did."""
    steps = np.round(np.asarray(difference) * _STEPS)
    steps = steps[steps != 0]
    if not len(steps):
        return 1.0 if len(difference) else np.nan
    from scipy.stats import rankdata  # imported here, as below: to list the studies needs none of scipy

    return sign_flip_p(np.sign(steps) * rankdata(np.abs(steps)))


def smallest_p(pairs: int) -> float:
    """The smallest p that either test can give for so many pairs, which is that of equal signs; NaN without pairs."""
    if not pairs:
        return np.nan
    return 2 / 2**pairs if pairs <= MOST_EXACT else 1 / (DRAWS + 1)


def holm(p: list[float]) -> list[float]:
    """The p-values of one family, corrected by Holm's method. A test without a p counts as one, and has none after."""
    known = np.nan_to_num(p, nan=1.0)
    order, left = np.argsort(known), np.arange(len(known), 0, -1)
    after = np.empty(len(known))
    after[order] = np.minimum(1.0, np.maximum.accumulate(known[order] * left))
    return [float(value) for value in np.where(np.isnan(p), np.nan, after)]


def wins_p(wins: int, losses: int) -> float:
    """Two-sided p of so many wins and losses of a fair coin; NaN without any."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else np.nan


def more_than_half_p(wins: int, pairs: int) -> float:
    """One-sided p of at least so many wins in so many pairs with a fair coin; 1 without pairs."""
    from scipy.stats import binomtest

    return float(binomtest(wins, pairs, alternative="greater").pvalue) if pairs else 1.0


def _sums(steps: Floats) -> NDArray[np.float64]:
    """The sums (2^n,) under every assignment of signs to `steps` (n,), or (100,000,) of random ones for large n."""
    if len(steps) > MOST_EXACT:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (DRAWS, len(steps)))
        return np.asarray(signs @ steps)
    sums = np.zeros(1)
    for step in steps:
        sums = np.concatenate([sums + step, sums - step])
    return sums
