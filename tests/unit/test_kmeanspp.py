"""BADGE's D² sampling: exact numbers, the right draws, the right probabilities."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare

from common.rng import stream_key
from common.types import Embedded, Gradient, Round
from service.kmeanspp import snap, spread_out
from service.strategies import STRATEGIES
from tests.unit.test_rng import splitmix64
from tests.unit.toys import a_round

ENTRIES = st.sampled_from([0.0, 1.0, -1.0, 0.5, 3.0, 2.0**-19, 1.1, -2.7])
ROWS = st.integers(1, 40).flatmap(lambda count: arrays(np.float64, (count, 3), elements=ENTRIES))


def pool_of(left: np.ndarray, right: np.ndarray) -> Embedded:
    count = len(left)
    nothing = np.zeros((count, 0), dtype=np.float32)
    return Embedded(np.arange(count, dtype=np.int64) * 3 + 5, nothing, nothing, Gradient(left, right))


def whole_units(rows: np.ndarray) -> list[list[int]]:
    """Rows in whole steps of the grid: 2^20 steps up to the power of two above the largest entry."""
    largest = max((abs(x) for x in rows.flat), default=0.0)
    step = Fraction(2) ** (math.frexp(largest)[1] - 20) if largest else Fraction(1)
    return [[round(Fraction(float(x)) / step) for x in row] for row in rows]


def draw(weights: list[int], share: float) -> int:
    """The first row at which the running sum reaches `share` of the whole."""
    threshold, running = share * float(sum(weights)), 0
    for row, weight in enumerate(weights):
        running += weight
        if running >= threshold:
            return row
    raise AssertionError("a share above 1")


def naive(rows: list[list[int]], index: list[int], wanted: Round) -> tuple[list[int], int]:
    """The rows of sequential D² sampling in whole numbers, and how many only fill."""

    def gap(one: int, other: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(rows[one], rows[other], strict=True))

    key, norms = stream_key(wanted.seed, "badge", wanted.epoch), [sum(x * x for x in row) for row in rows]
    chosen = [norms.index(max(norms))]
    while len(chosen) < wanted.k:
        weights = [min(gap(row, centre) for centre in chosen) for row in range(len(rows))]
        if not sum(weights):
            break
        chosen.append(draw(weights, splitmix64(key, len(chosen))))
    fill_key = stream_key(wanted.seed, "badge-fill", wanted.epoch)
    free = sorted(set(range(len(rows))) - set(chosen), key=lambda row: splitmix64(fill_key, index[row]))
    return (chosen + free)[: wanted.k], wanted.k - len(chosen)


@given(rows=ROWS, share=st.floats(0.0, 1.0), epoch=st.integers(0, 3))
def test_rows_are_those_of_naive_sampling(rows: np.ndarray, share: float, epoch: int) -> None:
    pool, wanted = pool_of(np.ones((len(rows), 1)), rows), a_round(max(1, math.ceil(share * len(rows))), epoch)
    chosen, _, filled = spread_out(pool, wanted)
    assert (chosen.tolist(), filled) == naive(whole_units(rows), pool.index.tolist(), wanted)


@pytest.mark.parametrize("seed", range(5))
def test_factored_rows_are_those_of_naive_sampling_of_the_products(seed: int) -> None:
    random = np.random.default_rng(seed)
    left, right = random.normal(size=(30, 3)), random.normal(size=(30, 4))
    left[25:], right[25:] = left[:5], right[:5]
    pool, wanted = pool_of(left, right), a_round(27, seed=seed)
    pairs = zip(whole_units(left), whole_units(right), strict=True)
    products = [[a * b for a in one for b in other] for one, other in pairs]
    chosen, _, filled = spread_out(pool, wanted)
    assert (chosen.tolist(), filled) == naive(products, pool.index.tolist(), wanted)


@pytest.mark.parametrize("factors", [1, 3])
def test_scores_are_squared_distances_to_the_rows_before(factors: int) -> None:
    random = np.random.default_rng(factors)
    left, right = random.normal(size=(12, factors)), random.normal(size=(12, 4))
    chosen, score, _ = spread_out(pool_of(left, right), a_round(12))
    products = [np.outer(a, b) for a, b in zip(left, right, strict=True)]
    before = [
        [products[row]] if not at else [products[row] - products[c] for c in chosen[:at]]
        for at, row in enumerate(chosen)
    ]
    np.testing.assert_allclose(score, [min((gap**2).sum() for gap in gaps) for gaps in before], rtol=1e-4)


def test_second_and_third_rows_follow_the_squared_distances() -> None:
    rows = np.array([[9.0, 0.0], [8.0, 1.0], [5.0, 5.0], [0.0, 2.0], [-3.0, -3.0]])
    pool, draws, counts = pool_of(np.ones((5, 1)), rows), 4_000, {}
    for epoch in range(draws):
        first, *pair = spread_out(pool, a_round(3, epoch))[0].tolist()
        counts[tuple(pair)] = counts.get(tuple(pair), 0) + 1
        assert first == 0
    expected = {}
    one = ((rows - rows[0]) ** 2).sum(1)
    for a in range(1, 5):
        two = np.minimum(one, ((rows - rows[a]) ** 2).sum(1))
        expected |= {(a, b): draws * one[a] / one.sum() * two[b] / two.sum() for b in range(1, 5) if b != a}
    assert chisquare([counts.get(pair, 0) for pair in expected], list(expected.values())).pvalue > 0.001


@pytest.mark.parametrize(
    ("rows", "filled"), [(np.zeros((6, 2)), 5), (np.ones((6, 2)), 5), (np.eye(6)[[0, 1, 0, 1, 0, 2]], 3)]
)
def test_duplicates_are_filled_and_counted(rows: np.ndarray, filled: int) -> None:
    chosen, score, found = spread_out(pool_of(np.ones((6, 1)), rows), a_round(6))
    assert sorted(chosen.tolist()) == list(range(6))
    assert found == filled
    assert not score[6 - filled :].any()


def test_filling_differs_between_epochs() -> None:
    pool = pool_of(np.ones((30, 1)), np.zeros((30, 2)))
    assert len({tuple(spread_out(pool, a_round(10, epoch))[0].tolist()) for epoch in range(5)}) == 5


@pytest.mark.parametrize("k", [0, 1, 5])
def test_k_rows_are_chosen(k: int) -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3))
    chosen, score, filled = spread_out(pool_of(np.ones((5, 1)), rows), a_round(k))
    assert (len(set(chosen.tolist())), len(score), filled) == (k, k, 0)


@pytest.mark.parametrize(("sick", "k"), [(3, 3), (5, 1), (5, 5)])
def test_too_few_finite_gradients_give_what_there_is(sick: int, k: int) -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3))
    rows[:sick] = np.nan
    found, _ = STRATEGIES["badge"]().pick(pool_of(np.ones((5, 1)), rows), a_round(k))
    assert len(found.index) == len(found.score) == min(5 - sick, k)
    assert (found.seen, found.dropped) == (5, sick)


@settings(max_examples=15)
@given(columns=st.sampled_from([1, 3, 100, 8_192, 20_000]), scale=st.integers(-900, 900), seed=st.integers(0, 99))
def test_products_of_snapped_rows_are_exact_in_any_order(columns: int, scale: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    snapped, _ = snap(np.ldexp(random.normal(size=(2, columns)).clip(-1.0, 1.0), scale))
    order = random.permutation(columns)
    exact = sum(int(a) * int(b) for a, b in zip(*snapped, strict=True))
    one, other = snapped[:, order]
    assert exact == float(snapped[0] @ snapped[1]) == float(one @ other) == sum((one * other).tolist())


@pytest.mark.parametrize("columns", [1, 2, 5_000, 8_192])
def test_largest_possible_norm_is_exact(columns: int) -> None:
    snapped, _ = snap(np.full((1, columns), np.nextafter(1.0, 0.0)))
    assert float(snapped[0] @ snapped[0]) == columns * int(snapped[0, 0]) ** 2 <= 2**53


@pytest.mark.parametrize("largest", [1.0, 3e-300, 1e300, 5e-324, 2.0**-1040])
def test_snapping_moves_by_half_a_step_of_2_to_the_minus_20_at_most(largest: float) -> None:
    values = largest * np.linspace(-1.0, 1.0, 7)[:, None]
    snapped, unit = snap(values)
    assert (snapped == np.rint(snapped)).all()
    assert np.abs(snapped).max() <= 2**20
    assert (np.abs(snapped * unit - values) <= largest * 2.0**-20).all() or unit == 0.0


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (3, 0)])
def test_zeros_and_nothing_snap_to_themselves(shape: tuple[int, int]) -> None:
    snapped, unit = snap(np.zeros(shape))
    assert (snapped.shape, unit) == (shape, 1.0)
    assert not snapped.any()


@pytest.mark.parametrize("scale", [2.0**-1070, 2.0**-600, 2.0**400, 1e150])
def test_picks_do_not_depend_on_the_scale(scale: float) -> None:
    rows = np.random.default_rng(0).integers(-9, 10, (20, 3)).astype(np.float64)
    plain, scaled = (spread_out(pool_of(np.ones((20, 1)), rows * factor), a_round(8)) for factor in (1.0, scale))
    assert plain[0].tolist() == scaled[0].tolist()
    assert np.isfinite(scaled[1]).all()


def test_chosen_positions_are_the_pools_own() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 3))
    found, filled = STRATEGIES["badge"]().pick(pool_of(np.ones((20, 1)), rows), a_round(8))
    assert set(found.index.tolist()) < {5 + 3 * row for row in range(20)}
    assert filled == 0
