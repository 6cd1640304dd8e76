"""D² sampling in few rounds draws as plain D² sampling does: joint distributions of picks, and potentials on real gradients."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare, ks_2samp

from negsift.common.data.catalogue import load_split
from negsift.common.data.config import DataConfig
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.common.types import EmbeddingSpec, Need
from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.points import Points, grid_exponent, snap
from negsift.service.kmeanspp.seeding import SeedingSpec
from tests.unit.seeding_oracles import by_sklearn, sequential
from tests.unit.seeding_pools import points_of, pool_of

DRAWS, SIGNIFICANT = 1_000, 0.001
POOLS = {
    "even": [[9, 0], [8, 1], [5, 5], [0, 2], [-3, -3], [1, 7]],
    "of norms from 1 to 1,000": [[1_000, 0], [900, 30], [3, 1], [-2, 2], [0, 40], [1, 0]],
    "in two clusters, one point twice": [[50, 50], [51, 49], [-50, -50], [-50, -50], [-48, -53], [0, 1]],
}


def chances(rows: np.ndarray, picks: int) -> dict[tuple[int, ...], float]:
    """The probability of every order of the first `picks` rows, by enumeration; the first is the longest."""
    gaps = ((rows[:, None] - rows[None]) ** 2).sum(2).astype(float)
    first, found = int((rows**2).sum(1).argmax()), {}
    for rest in permutations(set(range(len(rows))) - {first}, picks - 1):
        chosen, chance = [first], 1.0
        for row in rest:
            weight = gaps[:, chosen].min(1)
            chance *= weight[row] / weight.sum()
            chosen.append(row)
        found[tuple(chosen)] = chance
    return found


@pytest.mark.parametrize("name", POOLS)
def test_the_first_three_picks_have_the_chances_of_d2_sampling(name: str) -> None:
    rows = np.array(POOLS[name])
    pool, expected = pool_of(points_of(rows)), chances(rows, 3)
    counts = Counter(tuple((d2_sample(pool, SeedingSpec(3, 0, epoch)).index - 5) // 3) for epoch in range(DRAWS))
    likely = [order for order, chance in expected.items() if chance * DRAWS >= 5.0]
    observed, wanted = [counts[order] for order in likely], [DRAWS * expected[order] for order in likely]
    observed, wanted = [*observed, DRAWS - sum(observed)], [*wanted, DRAWS - sum(wanted)]
    if wanted[-1] < 1e-6:
        assert observed.pop() == 0
        wanted.pop()
    assert set(counts) <= {order for order, chance in expected.items() if chance > 0.0}
    assert chisquare(observed, wanted, sum_check=False).pvalue > SIGNIFICANT


def test_a_first_pick_at_random_is_uniform() -> None:
    pool = pool_of(points_of(np.array(POOLS["of norms from 1 to 1,000"])))
    first = [d2_sample(pool, SeedingSpec(1, 0, epoch, random_first=True)).index[0] for epoch in range(3_000)]
    assert chisquare(list(Counter(first).values())).pvalue > SIGNIFICANT


def real_gradients() -> Points:
    """The gradient embeddings of the bags of handwritten digits, by a SimpleCNN, on the grid."""
    pool = load_split(DataConfig(bag_size=2, target="8")).pool
    model, index = make_model(ModelConfig(), pool.instances.images.shape[1:], seed=0), np.arange(len(pool))
    gradient = model.eval().embed(pool.gather(index), index, EmbeddingSpec(Need.GRADIENT)).gradient
    assert gradient is not None
    rows = (gradient.left * gradient.right).astype(np.float32)
    return Points(index, (snap(rows, grid_exponent(float(np.abs(rows).max()), rows.shape[1])),))


def potential(points: Points, index: np.ndarray) -> float:
    rows = points.factors64[0]
    return float(((rows[:, None] - rows[None, index]) ** 2).sum(2).min(1).sum())


@pytest.fixture(scope="module")
def gradients() -> Points:
    return real_gradients()


def by_sequential(points: Points, spec: SeedingSpec) -> np.ndarray:
    return points.index[sequential(points, spec)]


def by_scikit_learn(points: Points, spec: SeedingSpec) -> np.ndarray:
    return points.index[by_sklearn(points.factors64[0], spec.count, spec.epoch)]


@pytest.mark.parametrize(("draw", "random_first"), [(by_sequential, False), (by_scikit_learn, True)])
def test_potentials_on_real_gradients_are_those_of_plain_seedings(draw, random_first: bool, gradients: Points) -> None:  # type: ignore[no-untyped-def]  # either of two functions
    pool, runs = pool_of(gradients), 150
    specs = [SeedingSpec(12, 0, epoch, random_first) for epoch in range(runs)]
    ours = np.array([potential(gradients, d2_sample(pool, spec).index) for spec in specs])
    plain = np.array([potential(gradients, draw(gradients, spec)) for spec in specs])
    error = np.sqrt(ours.var(ddof=1) / runs + plain.var(ddof=1) / runs)
    assert abs(ours.mean() - plain.mean()) < 3.5 * error
    assert ks_2samp(ours, plain).pvalue > SIGNIFICANT
