"""Every strategy against a slow oracle written from the definitions; ties, saturation, NaN."""

import decimal
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from negsift.common.arrays import Floats
from negsift.common.errors import BadInput, UnknownName
from negsift.common.rng import stream_key
from negsift.common.types import Candidates, Embedded, Gradient, Need, Round
from negsift.service.strategies import STRATEGIES, StrategyConfig, make_strategy
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.cluster_margin import ClusterMargin
from negsift.service.strategies.contract import candidates
from negsift.service.strategies.margin import Margin
from negsift.service.strategies.svm_margin import SvmMargin
from tests.unit.common.test_rng import splitmix64
from tests.unit.toys import HeldView, a_round, embedded

UNCERTAIN = ["margin", "least_confidence", "entropy"]
LOGIT = st.one_of(st.sampled_from([-200.0, -1.0, 0.0, 1.0, 200.0]), st.floats(-200.0, 200.0, width=32))
NOBODY = embedded(np.zeros((0, 2)))


def logits(classes: int) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(st.lists(LOGIT, min_size=classes, max_size=classes), min_size=1, max_size=40)


def probs(row: Sequence[float]) -> list[float]:
    powers = [math.exp(float(z) - max(map(float, row))) for z in row]
    return [power / math.fsum(powers) for power in powers]


def uncertainty(name: str, row: Sequence[float]) -> float:
    p = sorted(probs(row), reverse=True)
    if name == "margin":
        return math.fsum([p[1], *p[1:]])
    return math.fsum(p[1:]) if name == "least_confidence" else -math.fsum(q * math.log(q) for q in p if q > 0.0)


def kl(row: Sequence[float], others: Sequence[Sequence[float]]) -> float:
    """KL(softmax of row ‖ mean of the others' softmax), in logarithms, since probabilities underflow."""

    def log_softmax(z: Sequence[float]) -> list[float]:
        top = max(z)
        return [value - top - math.log(math.fsum(math.exp(other - top) for other in z)) for value in z]

    logs = [log_softmax(other) for other in others]
    tops = [max(column) for column in zip(*logs, strict=True)]
    mean = [
        top + math.log(math.fsum(math.exp(value - top) for value in column) / len(logs))
        for top, column in zip(tops, zip(*logs, strict=True), strict=True)
    ]
    return math.fsum(math.exp(p) * (p - q) for p, q in zip(log_softmax(row), mean, strict=True))


def choose(strategy: Strategy, pool: Embedded, round: Round, positives: Embedded = NOBODY) -> Candidates:
    prepared = strategy.prepare(positives, NOBODY) if strategy.learns_from_positives else {}
    return strategy.pick(HeldView(pool), prepared, round).candidates


def best(score: Sequence[float], index: Sequence[int], k: int) -> list[int]:
    """Positions of the k largest, ties to the smaller."""
    order = sorted(range(len(score)), key=lambda row: (-score[row], index[row]))
    return [int(index[row]) for row in order[:k]]


def shuffled(count: int) -> np.ndarray:
    return np.random.default_rng(count).permutation(10 * count)[:count].astype(np.int64)


@pytest.mark.parametrize("name", UNCERTAIN)
@given(rows=logits(2), share=st.floats(0.0, 1.0))
def test_two_classes_are_ranked_by_their_logits_difference(name: str, rows: list[list[float]], share: float) -> None:
    pool, k = embedded(rows, index=shuffled(len(rows))), math.ceil(share * len(rows))
    expected = best([-abs(z[1] - z[0]) for z in rows], pool.index.tolist(), k)
    assert choose(STRATEGIES[name](), pool, a_round(k)).index.tolist() == expected


@pytest.mark.parametrize("name", UNCERTAIN)
@given(gaps=st.lists(st.floats(-8.0, 8.0, width=32), min_size=1, max_size=20), k=st.integers(1, 20))
def test_two_classes_are_ranked_as_the_paper_defines(name: str, gaps: list[float], k: int) -> None:
    pool = embedded([[0.0, gap] for gap in gaps])
    chosen = choose(STRATEGIES[name](), pool, a_round(min(k, len(gaps)))).index.tolist()
    wanted = [uncertainty(name, [0.0, gap]) for gap in gaps]
    left = [wanted[row] for row in set(range(len(gaps))) - set(chosen)]
    assert min(wanted[row] for row in chosen) >= max(left, default=-1.0) - 1e-12


@given(rows=logits(2), k=st.integers(1, 40))
def test_uncertainty_strategies_agree_on_two_classes(rows: list[list[float]], k: int) -> None:
    chosen = [
        choose(STRATEGIES[name](), embedded(rows), a_round(min(k, len(rows)))).index.tolist() for name in UNCERTAIN
    ]
    assert chosen[0] == chosen[1] == chosen[2]


@pytest.mark.parametrize("name", UNCERTAIN)
@given(rows=logits(3))
def test_three_classes_are_scored_as_the_paper_defines(name: str, rows: list[list[float]]) -> None:
    found = STRATEGIES[name]().score(embedded(rows), {}, a_round(1))
    np.testing.assert_allclose(found, [uncertainty(name, row) for row in rows], rtol=1e-9, atol=1e-12)


def one_less_margin(row: Sequence[float]) -> float:
    """1 - (p_1 - p_2), with 300 digits."""
    with decimal.localcontext(prec=300):
        powers = sorted((decimal.Decimal(z).exp() for z in row), reverse=True)
        return float(1 - (powers[0] - powers[1]) / sum(powers))


@pytest.mark.parametrize("classes", [3, 5])
@given(data=st.data())
def test_margins_of_saturated_classes_are_exact(classes: int, data: st.DataObject) -> None:
    rows = data.draw(logits(classes))
    found = STRATEGIES["margin"]().score(embedded(rows), {}, a_round(1))
    np.testing.assert_allclose(found, [one_less_margin(row) for row in rows], rtol=1e-12)


@pytest.mark.parametrize("strategy", [Margin(), ClusterMargin(keep=1)], ids=repr)
def test_saturated_margins_are_ranked_by_size_and_not_by_position(strategy: Strategy) -> None:
    pool = embedded([[0.0, -200.0 + 10 * bag, -300.0] for bag in range(15)], np.eye(15))
    assert sorted(choose(strategy, pool, a_round(5)).index.tolist()) == [10, 11, 12, 13, 14]


@pytest.mark.parametrize("name", [*UNCERTAIN, "kl_prob", "kl_embedding"])
@given(rows=logits(3), k=st.integers(0, 40))
def test_the_best_scores_are_chosen_with_ties_by_position(name: str, rows: list[list[float]], k: int) -> None:
    pool, strategy = embedded(rows, rows, shuffled(len(rows))), STRATEGIES[name]()
    found = choose(strategy, pool, a_round(k), pool)
    score = strategy.score(pool, strategy.prepare(pool, NOBODY), a_round(k)).tolist()
    assert found.index.tolist() == best(score, pool.index.tolist(), k)
    assert found.seen == len(rows)


@pytest.mark.parametrize("name", ["kl_prob", "kl_embedding"])
@pytest.mark.parametrize("classes", [2, 3])
@given(data=st.data())
def test_kl_is_the_distance_to_the_positives_mean(name: str, classes: int, data: st.DataObject) -> None:
    rows, others = data.draw(logits(classes)), data.draw(logits(classes))
    strategy = STRATEGIES[name]()
    found = strategy.score(embedded(rows, rows), strategy.prepare(embedded(others, others), NOBODY), a_round(1))
    np.testing.assert_allclose(-found, [kl(row, others) for row in rows], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["kl_prob", "kl_embedding"])
def test_kl_wants_bags_like_the_positives(name: str) -> None:
    rows, positives = [[0.0, 3.0], [0.0, 1.0], [0.0, -2.0]], [[0.0, 1.1], [0.0, 0.9]]
    found = choose(STRATEGIES[name](), embedded(rows, rows), a_round(3), embedded(positives, positives))
    assert found.index.tolist() == [1, 0, 2]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_gradient_embedding_wants_the_largest_gradient(classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    left, right = random.normal(size=(30, 1 if classes == 2 else 3)), random.normal(size=(30, 4))
    right[20:] = right[:10]
    left[20:] = left[:10]
    pool = Embedded(np.arange(30), np.zeros((30, classes)), right, Gradient(left, right))
    norms = [
        round(math.sqrt(math.fsum(x * x for x in np.outer(a, b).flat)), 12) for a, b in zip(left, right, strict=True)
    ]
    assert choose(STRATEGIES["gradient_embedding"](), pool, a_round(17)).index.tolist() == best(norms, range(30), 17)


@given(count=st.integers(1, 40), k=st.integers(1, 40), epoch=st.integers(0, 5), seed=st.integers(-3, 3))
def test_random_wants_the_largest_hash_of_the_position(count: int, k: int, epoch: int, seed: int) -> None:
    pool = embedded(np.zeros((count, 2)), index=shuffled(count))
    key = stream_key(seed, "random", epoch)
    expected = best([splitmix64(key, at) for at in pool.index.tolist()], pool.index.tolist(), k)
    assert choose(STRATEGIES["random"](), pool, a_round(k, epoch, seed)).index.tolist() == expected


def test_full_is_every_bag_in_order() -> None:
    pool = embedded(np.zeros((20, 2)), index=shuffled(20))
    assert choose(STRATEGIES["full"](), pool, a_round(20)).index.tolist() == sorted(pool.index.tolist())


@pytest.mark.parametrize(("bags", "k"), [(12, 4), (12, 5), (7, 7), (9, 1), (30, 29)])
def test_a_walk_reaches_every_bag_before_any_again(bags: int, k: int) -> None:
    pool, epochs = embedded(np.zeros((bags, 2))), -(-bags // k)
    for cycle in range(3):
        rounds = [a_round(k, cycle * epochs + turn, pool=bags) for turn in range(epochs)]
        walked = [choose(STRATEGIES["walk"](), pool, round).index.tolist() for round in rounds]
        whole = [index for chosen in walked[: bags // k] for index in chosen]
        assert len(set(whole)) == len(whole) == bags // k * k
        assert len(set(walked[-1])) == k
        assert {index for chosen in walked for index in chosen} == set(range(bags))


@pytest.mark.parametrize("seed", range(4))
def test_svm_margin_is_the_distance_from_a_linear_svm(seed: int) -> None:
    random = np.random.default_rng(seed)
    positives, negatives, pool = (random.normal(shift, 1.0, (n, 5)) for shift, n in ((1.0, 12), (0.0, 30), (0.0, 40)))
    for part in (positives, negatives, pool):
        part[:, 4] = 2.0  # a feature that never varies
    both = np.concatenate([positives, negatives]).astype(np.float32).astype(np.float64)
    mean, std = both.mean(0), np.where(both.std(0) < 1e-9, 1.0, both.std(0))
    svm = LinearSVC(C=1.0, dual=False, class_weight="balanced").fit((both - mean) / std, [1] * 12 + [0] * 30)
    expected = np.abs(svm.decision_function((pool.astype(np.float32) - mean) / std))
    strategy = SvmMargin()
    prepared = strategy.prepare(*(embedded(np.zeros((len(part), 2)), part) for part in (positives, negatives)))
    found = strategy.score(embedded(np.zeros((40, 2)), pool), prepared, a_round(1))
    np.testing.assert_allclose(-found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if STRATEGIES[name].need])
def test_bags_that_are_not_finite_are_dropped_and_counted(name: str) -> None:
    rows = np.random.default_rng(0).normal(size=(12, 2))
    sick = rows.copy()
    sick[[2, 7]] = np.nan
    gradient = Gradient(sick[:, :1], sick)
    pool = Embedded(np.arange(12), sick.astype(np.float32), sick.astype(np.float32), gradient)
    healthy, strategy = embedded(rows, rows), make_strategy(StrategyConfig(name))
    prepared = strategy.prepare(healthy, embedded(-rows, -rows)) if strategy.learns_from_positives else {}
    found = strategy.pick(HeldView(pool), prepared, a_round(10)).candidates
    assert sorted(found.index.tolist()) == [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]
    assert (found.seen, found.dropped) == (12, 2)


class Odd(Strategy):
    """A strategy whose scores have a form of their own."""

    def __init__(self, score: Floats) -> None:
        self.given = score

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        return self.given


@pytest.mark.parametrize(
    "score", [np.zeros(2), np.zeros((3, 1)), np.zeros(3, np.float32), np.zeros(3, np.int64), [0.0] * 3, None, 1.0]
)
def test_scores_of_another_form_are_bad_input(score: Any) -> None:  # Any: wrong on purpose
    with pytest.raises(BadInput, match=r"scores .* from Odd; expected float64\(3,\), one score a bag"):
        candidates(Odd(score), [embedded(np.zeros((3, 2)))], {}, a_round(1))


@pytest.mark.parametrize("name", ["index", "logits", "features", "left", "right"])
def test_nobody_writes_to_what_shards_share(name: str) -> None:
    """A strategy that scales its logits in place would change those that the next one gets."""
    owned = np.zeros((3, 2))
    bags = Embedded(np.arange(3), owned, owned, Gradient(owned, owned))
    with pytest.raises(ValueError, match="read-only"):
        getattr(bags if hasattr(bags, name) else bags.gradient, name)[0] = 1
    owned[0] = 1.0  # the caller's own array stays the caller's


def test_unknown_strategy_lists_the_strategies() -> None:
    with pytest.raises(UnknownName, match=r"strategy 'bagde'.*badge, badge_filtered, .*full.*did you mean 'badge'"):
        make_strategy(StrategyConfig("bagde"))


def test_unknown_label_lists_the_labels() -> None:
    with pytest.raises(UnknownName, match=r"strategy\.label 'true'.*known, pseudo"):
        make_strategy(StrategyConfig("badge", "true"))


@pytest.mark.parametrize("name", STRATEGIES)
def test_label_is_taken_by_the_strategies_of_gradients_only(name: str) -> None:
    if STRATEGIES[name].need == Need.GRADIENT:
        assert make_strategy(StrategyConfig(name, "known")).label == "known"
        return
    with pytest.raises(
        BadInput, match=rf"strategy\.label=known with {name}; expected one of gradient_embedding, badge"
    ):
        make_strategy(StrategyConfig(name, "known"))
