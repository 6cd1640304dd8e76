"""Gumbel top-k against a loop over bags, and its weights against the sums that they stand for."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.errors import BadInput, UnknownName
from negsift.common.rng import stream_key
from negsift.service.strategies import StrategyConfig, make_strategy
from negsift.service.strategies.ht_gumbel import HtGumbel
from tests.unit.common.test_rng import splitmix64
from tests.unit.toys import HeldView, a_round, embedded

GAPS = [-3.0, -1.0, 0.0, 0.5, 2.0, 4.0, -6.0, 1.0, 3.0]


def sigmoid(gap: float) -> float:
    return 1 / (1 + math.exp(-gap)) if gap > 0 else math.exp(gap) / (1 + math.exp(gap))


def entropy(gap: float) -> float:
    return -sum(p * math.log2(p) for p in (sigmoid(gap), sigmoid(-gap)))


MASS = {
    "probability": sigmoid,
    "entropy": entropy,
    "margin": lambda gap: 1 - abs(sigmoid(gap) - sigmoid(-gap)),
    "least_confidence": lambda gap: 2 * (1 - max(sigmoid(gap), sigmoid(-gap))),
}


def drawn(gaps: list[float], k: int, seed: int, strategy: HtGumbel) -> tuple[list[int], list[float]]:
    """The bags of a draw, best first, and 1 / π of each."""
    mass = [strategy.floor + (1 - strategy.floor) * MASS[strategy.mass](gap) ** strategy.power for gap in gaps]
    exponentials = [-math.log(splitmix64(stream_key(seed, "gumbel", 0), index)) / q for index, q in enumerate(mass)]
    order = sorted(range(len(gaps)), key=exponentials.__getitem__)
    if k >= len(gaps):
        return order, [1.0] * len(gaps)
    return order[:k], [1 / -math.expm1(-mass[index] * exponentials[order[k]]) for index in order[:k]]


@given(
    gaps=st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=12), k=st.integers(0, 12),
    seed=st.integers(0, 99), power=st.sampled_from([0.0, 0.5, 1.0, 3.0]), floor=st.sampled_from([0.01, 0.1, 0.9]),
    mass=st.sampled_from(list(MASS)),
)  # fmt: skip
def test_a_draw_is_that_of_a_loop(gaps: list[float], k: int, seed: int, power: float, floor: float, mass: str) -> None:
    strategy, k = HtGumbel(mass=mass, power=power, floor=floor), min(k, len(gaps))
    picked = strategy.pick(HeldView(embedded([[0.0, gap] for gap in gaps])), {}, replace(a_round(k), seed=seed))
    index, weight = drawn(gaps, k, seed, strategy)
    assert picked.candidates.index.tolist() == index
    found = np.ones(k) if picked.weight is None else picked.weight
    np.testing.assert_allclose(found, np.array(weight) / np.mean(weight) if k else [], rtol=1e-6)


def test_weighted_sums_over_draws_average_to_the_sums_over_all_bags() -> None:
    values = np.array([5.0, 1.0, -2.0, 0.5, 3.0, 1.0, 7.0, -4.0, 2.0])
    for strategy in (HtGumbel(), HtGumbel(power=2.0, floor=0.02)):
        sums = np.array(
            [
                sum(weight * values[index] for index, weight in zip(*drawn(GAPS, 4, seed, strategy), strict=True))
                for seed in range(4000)
            ]
        )
        assert abs(sums.mean() - values.sum()) < 4 * sums.std() / len(sums) ** 0.5
        assert sums.std() > 1


def test_offsets_are_the_logarithms_of_the_weights_of_bags_that_were_drawn() -> None:
    for strategy in (HtGumbel(), HtGumbel("entropy", power=2.0, floor=0.02)):
        picked = strategy.pick(HeldView(embedded([[1.0, 1.0 + gap] for gap in GAPS])), {}, a_round(4))
        assert picked.draw is not None
        assert picked.weight is not None
        margin = np.array(GAPS)[picked.candidates.index]
        expected = np.log(picked.weight * picked.draw.mean_inverse)
        np.testing.assert_allclose(strategy.offset(margin, picked.draw), expected, rtol=1e-6)
        everything = strategy.offset(np.array(GAPS), picked.draw)
        assert (everything > 0).all()
        np.testing.assert_allclose(picked.draw.mean_inverse, np.exp(expected).mean())


def test_a_draw_that_leaves_nothing_out_has_no_chances() -> None:
    assert HtGumbel().pick(HeldView(embedded([[0.0, gap] for gap in GAPS])), {}, a_round(len(GAPS))).draw is None


def test_bags_called_positive_are_drawn_more_often_and_weigh_less() -> None:
    counts = np.zeros(len(GAPS))
    for seed in range(300):
        picked = HtGumbel().pick(HeldView(embedded([[0.0, gap] for gap in GAPS])), {}, replace(a_round(3), seed=seed))
        counts[picked.candidates.index] += 1
        assert picked.weight is not None
        order = np.argsort([GAPS[index] for index in picked.candidates.index])
        assert (np.diff(picked.weight[order]) <= 0).all()
    assert counts[5] > 3 * counts[6] > 0


def test_its_options_are_its_own_and_within_bounds() -> None:
    assert make_strategy(StrategyConfig("ht_gumbel", power=0.5)) == HtGumbel(power=0.5)
    with pytest.raises(BadInput, match="strategy.power=0.5 with entropy; expected one of ht_gumbel"):
        make_strategy(StrategyConfig("entropy", power=0.5))
    with pytest.raises(UnknownName, match=r"strategy\.mass 'loss'.*entropy, least_confidence, margin, probability"):
        StrategyConfig("ht_gumbel", mass="loss")
    for wrong in ({"power": -1.0}, {"power": math.inf}, {"floor": 0.0}, {"floor": 1.0}):
        with pytest.raises(BadInput, match=f"strategy.{next(iter(wrong))}="):
            StrategyConfig("ht_gumbel", **wrong)
