"""Intervals of a mean difference, and limits on one side."""

from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Floats
from negsift.trainer.results.estimate import estimate

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """Two ends; NaN where they are not known."""

    low: float
    high: float


def bca_interval(values: Floats) -> Interval:
    """The bias-corrected and accelerated bootstrap interval (95 %) of the mean of `values` (n,), always the same.

    10,000 draws by scipy. One value has no interval; that of equal values has no width.
    """
    if len(values) < 2:
        return Interval(np.nan, np.nan)
    if np.ptp(values) == 0:
        return Interval(float(values[0]), float(values[0]))
    from scipy.stats import bootstrap  # imported here, as below: to list the studies needs none of scipy

    draws, random = 10_000, np.random.default_rng(0)
    found = bootstrap((values,), np.mean, n_resamples=draws, confidence_level=LEVEL, method="BCa", rng=random)
    return Interval(float(found.confidence_interval.low), float(found.confidence_interval.high))


def lower_limit(values: Floats, level: float = LEVEL) -> float:
    """The one-sided lower limit (95 %, or another level) of the mean of `values` (n,), by Student's t; NaN for fewer
    than two.

    Not by bootstrap, whose limits are too narrow for ten or twenty values: a claim of non-inferiority rests on this
    limit, and one that is too high makes false claims.
    """
    from scipy.stats import t as student

    mean = estimate(values)
    return float(mean.mean - student.ppf(level, mean.count - 1) * mean.error) if mean.count > 1 else np.nan
