"""Strategies side by side over blocks: mean ranks, and performance profiles."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from negsift.common.arrays import Floats
from negsift.trainer.results.versus import Values


@dataclass(frozen=True)
class Ranks:
    """Mean ranks (1 is best) by label over the blocks that all have, with Friedman's p and Nemenyi's distance.

    Two mean ranks that are closer than `critical` are not told apart at 5 %.
    """

    mean: Mapping[str, float]
    blocks: int
    friedman_p: float
    critical: float


def rank(values: Mapping[str, Values]) -> Ranks | None:
    """Mean ranks of labels by their values in blocks; None for fewer than two labels or no block that all have.

    Demšar, JMLR 7 (2006), section 3.2.2. Friedman's test, and the distance that rests on it, take three labels and
    two blocks at least.
    """
    shared = sorted(set.intersection(*(set(part) for part in values.values()))) if len(values) > 1 else []
    if not shared:
        return None
    table = np.array([[part[block] for block in shared] for part in values.values()])
    means = rankdata(-table, axis=0).mean(1)
    tested = len(values) > 2 and len(shared) > 1 and bool(np.ptp(table, axis=0).any())
    p = float(friedmanchisquare(*table).pvalue) if tested else math.nan
    critical = _nemenyi(len(values), len(shared)) if tested else math.nan
    return Ranks(dict(zip(values, means.tolist(), strict=True)), len(shared), p, critical)


def profile(values: Values, thresholds: Floats) -> tuple[float, ...]:
    """The share of blocks whose value is at least each threshold (Agarwal et al., arXiv 2108.13264, section 4.2)."""
    known = np.array(list(values.values()))
    return tuple(np.mean(known >= thresholds[:, None], axis=1).tolist()) if len(known) else ()


def thresholds_for(values: Mapping[str, Values], count: int = 101) -> Floats:
    """So many thresholds from the lowest to the highest value; none without values."""
    known = [value for part in values.values() for value in part.values()]
    return np.linspace(min(known), max(known), count) if known else np.zeros(0)


def _nemenyi(labels: int, blocks: int) -> float:
    quantile = studentized_range.ppf(0.95, labels, np.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(labels * (labels + 1) / (6 * blocks)))
