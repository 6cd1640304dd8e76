"""Means with their standard errors."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` values with its standard error, which is NaN for a single one."""

    mean: float
    error: float
    count: int

    def text(self, digits: int, sign: str = "") -> str:
        """`0.912 ± 0.008`, or `—` without values; whole numbers that are all equal have no error."""
        if not self.count:
            return "—"
        mean = f"{self.mean:{sign}z,.{digits}f}".replace("-", "−")
        no_error = math.isnan(self.error) or (digits == 0 and self.error == 0)
        return mean if no_error else f"{mean}\u00a0±\u00a0{self.error:,.{digits}f}"


def estimate(values: Iterable[float]) -> Estimate:
    """Mean and standard error (n - 1 degrees of freedom) of the values that are not NaN."""
    known = np.array([value for value in values if not math.isnan(value)])
    if not len(known):
        return Estimate(math.nan, math.nan, 0)
    error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else math.nan
    return Estimate(float(known.mean()), error, len(known))
