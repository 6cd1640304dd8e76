"""Statistics of a task's rounds: overlap with the last picks, coverage of the pool."""

import numpy as np
import pytest

from negsift.common.types import Selection
from negsift.service.monitoring.round_stats import Coverage, Lags, RoundStats


def selection(index: object, version: int = 0) -> Selection:
    picked = np.asarray(index, dtype=np.int64)
    return Selection(picked, np.ones(len(picked)), np.ones(len(picked)), version)


def test_overlap_and_coverage_are_those_of_sets() -> None:
    history = RoundStats()
    for epoch, picked in enumerate(([0, 1, 2, 3], [2, 3, 4, 5], [9, 0, 4, 5])):
        history.add(selection(picked, epoch), epoch + 1, 10, Lags(0.5, 0.25))
    assert (history.overlap, history.covered, history.rounds, history.behind) == (0.5, 0.7, 3, 1)
    assert history.status()["wait_s"] == 0.5


@pytest.mark.parametrize("picked", [1000, 200_000])
def test_coverage_of_a_large_pool_is_estimated_in_fixed_memory(picked: int) -> None:
    coverage, pool, random = Coverage(), 50_000_000, np.random.default_rng(0)
    index = random.choice(pool, picked, replace=False)
    assert coverage.add(index, pool) == pytest.approx(picked / pool, rel=0.02)
    assert coverage.add(index, pool) == pytest.approx(picked / pool, rel=0.02)
