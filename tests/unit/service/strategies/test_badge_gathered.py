"""The benchmark's three forms of BADGE draw the same."""

import numpy as np
import pytest

from tests.bench.kmeanspp_badge import factored, published


@pytest.mark.parametrize("seed", range(5))
def test_whole_gradients_and_factors_give_the_same_draws(seed: int) -> None:
    rows = np.random.default_rng(seed).integers(-50, 50, (300, 7)).astype(np.float32)
    whole = published(rows, 40, seed)
    assert len(set(whole)) == 40
    assert whole == factored(rows, 40, seed, sum) == factored(rows, 40, seed, np.sum)
