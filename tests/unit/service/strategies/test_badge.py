"""BADGE as a strategy: factored gradients of any scale, engines, filling, and what is not finite."""

import numpy as np
import pytest
import torch

from negsift.common.errors import BadInput, UnknownName
from negsift.common.types import Embedded, Gradient
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.kmeanspp.faiss_engines import ENGINES
from negsift.service.strategies.badge import Badge
from tests.unit.toys import HeldView, MeanNet, a_round, assert_same, select, vector_model, vectors


def pool_of(left: np.ndarray, right: np.ndarray) -> Embedded:
    """Bags of these gradients at positions 5, 8, 11, …"""
    nothing = np.zeros((len(left), 0), dtype=np.float32)
    return Embedded(np.arange(len(left), dtype=np.int64) * 3 + 5, nothing, nothing, Gradient(left, right))


def flat(rows: np.ndarray) -> Embedded:
    """Gradients of two classes: one factor is the bags' residual."""
    return pool_of(np.ones((len(rows), 1)), rows)


@pytest.mark.parametrize("factors", [1, 3])
@pytest.mark.parametrize("engine", ["exact", *ENGINES])
def test_scores_are_squared_distances_in_the_gradients_own_units(engine: str, factors: int) -> None:
    random = np.random.default_rng(factors)
    left, right = 1e-3 * random.normal(size=(40, factors)), random.normal(size=(40, 4))
    picked = Badge(engine=engine).pick(HeldView(pool_of(left, right)), {}, a_round(12)).candidates
    products = (left[:, :, None] * right[:, None, :]).reshape(40, -1)[(picked.index - 5) // 3]
    gaps = [((products[:place] - products[place]) ** 2).sum(1).min() for place in range(1, 12)]
    np.testing.assert_allclose(picked.score, [(products[0] ** 2).sum(), *gaps], rtol=1e-4)


@pytest.mark.parametrize("engine", ["sequential", "sklearn", ""])
def test_an_unknown_engine_is_one_line_with_the_known_ones(engine: str) -> None:
    with pytest.raises(UnknownName, match=rf"strategy.engine.*{engine}.*exact, faiss, faiss_afkmc2"):
        Badge(engine=engine)


@pytest.mark.parametrize("scale", [2.0**-120, 2.0**-60, 2.0**60, 2.0**100])
def test_picks_do_not_depend_on_the_scale(scale: float) -> None:
    rows = np.random.default_rng(0).integers(-9, 10, (40, 3)).astype(np.float64)
    plain, scaled = (Badge().pick(HeldView(flat(rows * factor)), {}, a_round(8)).candidates for factor in (1.0, scale))
    assert plain.index.tolist() == scaled.index.tolist()
    assert np.isfinite(scaled.score).all()


def test_denormal_half_precision_gradients_stay_distinct() -> None:
    rows = np.random.default_rng(0).permutation(40)[:, None].astype(np.float16) * np.float16(6e-8)
    picked = Badge().pick(HeldView(flat(rows.astype(np.float32))), {}, a_round(39))
    assert picked.filled == 0
    assert len(set(picked.candidates.index.tolist())) == 39


@pytest.mark.parametrize(("sick", "k"), [(3, 3), (5, 1), (5, 5)])
def test_too_few_finite_gradients_give_what_there_is(sick: int, k: int) -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3))
    rows[:sick] = [np.nan, np.inf, -np.inf]
    picked = Badge().pick(HeldView(flat(rows)), {}, a_round(k)).candidates
    assert len(picked.index) == len(picked.score) == min(5 - sick, k)
    assert (picked.seen, picked.dropped) == (5, sick)


@pytest.mark.parametrize("k", [0, 1, 40])
def test_picks_from_equal_bags_are_filled_and_counted(k: int) -> None:
    pool = [torch.ones(3, 6)] * 40
    chosen = select(pool, MeanNet(), "badge", k, shards=3)
    assert len(set(chosen.index.tolist())) == k
    assert chosen.account.filled == max(0, k - 1)


@pytest.mark.parametrize("width", [1, 8_192])
def test_one_feature_or_thousands(width: int) -> None:
    pool = vectors([1] * 30, width=width)
    chosen = [select(pool, vector_model(width=width), "badge", 12, shards=shards) for shards in (1, 3)]
    assert_same(*chosen)


def test_one_bag_is_the_pick() -> None:
    assert select(vectors([2]), vector_model(), "badge", 1).index.tolist() == [0]


def test_too_few_finite_bags_is_one_clear_line() -> None:
    pool = vectors([2] * 9)
    with pytest.raises(
        BadInput, match="found 10 negatives asked for; expected a whole number between 0 and 9, the size of the pool"
    ):
        select(pool, vector_model(), "badge", 10)
    pool[4] = torch.full((2, 6), torch.nan)
    with pytest.raises(BadInput, match=r"8 bags with finite scores of 9; expected 9 at least; look for NaN"):
        select(pool, vector_model(), "badge", 9)
    assert 4 not in select(pool, vector_model(), "badge", 8).index


@pytest.mark.parametrize(("label", "classes"), [("pseudo", 2), ("known", 2), ("pseudo", 3)])
def test_picks_on_shards_and_gathered_are_the_same(label: str, classes: int) -> None:
    pool, model = vectors([1, 2, 3] * 40), vector_model(classes=classes)
    with (
        NegativeSampler(
            pool, model, strategy=Badge(label=label), k=30, shards=4, options=FleetConfig(block=8, held_mb=0)
        ) as apart,
        NegativeSampler(
            pool, model, strategy=Badge(label=label), k=30, shards=4, options=FleetConfig(block=8)
        ) as gathered,
    ):
        one, other = (sampler.select(model.state_dict(), 0) for sampler in (apart, gathered))
    assert_same(one, other)
    assert other.account.traffic.rounds == 2
    assert other.account.traffic.points == 120
    assert one.account.traffic.rounds > 2
    assert one.account.traffic.size_bytes > 0
