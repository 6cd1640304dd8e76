"""The relatives of BADGE: k-centre greedy, Cluster-Margin, and BADGE among the largest gradients."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from negsift.common.rng import stream_key
from negsift.common.types import Embedded, Gradient
from negsift.service.strategies.badge import Badge
from negsift.service.strategies.badge_filtered import BadgeFiltered
from negsift.service.strategies.cluster_margin import ClusterMargin, clusters, turns
from negsift.service.strategies.k_center import KCenter
from negsift.service.strategies.margin import Margin
from tests.unit.common.test_rng import splitmix64
from tests.unit.toys import HeldView, a_round, embedded


def pool_of(count: int, seed: int = 0) -> Embedded:
    """Bags with logits, features and gradients of heavy-tailed norms, at positions 5, 8, 11, …"""
    random = np.random.default_rng(seed)
    features = (random.normal(size=(count, 4)) * random.lognormal(0.0, 1.5, (count, 1))).astype(np.float32)
    left = random.normal(size=(count, 1))
    index = np.arange(count, dtype=np.int64) * 3 + 5
    logits = random.normal(size=(count, 2)).astype(np.float32)
    return Embedded(index, logits, features, Gradient(left, features))


def farthest_first(rows: np.ndarray, k: int) -> list[int]:
    chosen = [int((rows**2).sum(1).argmax())]
    while len(chosen) < k:
        gaps = [min(((row - rows[c]) ** 2).sum() for c in chosen) for row in rows]
        chosen.append(int(np.argmax(gaps)))
    return chosen


@pytest.mark.parametrize("seed", range(3))
def test_k_center_is_farthest_first(seed: int) -> None:
    pool = pool_of(60, seed)
    found = KCenter().pick(HeldView(pool), {}, a_round(20)).candidates
    assert found.index.tolist() == pool.index[farthest_first(pool.features.astype(np.float64), 20)].tolist()


@pytest.mark.parametrize("offset", [0.0, 1e6, -3e7])
def test_features_far_from_zero_keep_their_distances(offset: float) -> None:
    """A year, a time stamp or a bias that all bags share leaves the distances, and so the centres after the first."""
    pool = pool_of(60)
    far = replace(pool, features=np.column_stack([pool.features, np.full(60, offset, np.float32)]))
    near = KCenter().pick(HeldView(pool), {}, a_round(20)).candidates
    found = KCenter().pick(HeldView(far), {}, a_round(20)).candidates
    assert found.index.tolist() == near.index.tolist()
    np.testing.assert_allclose(found.score[1:], near.score[1:], rtol=1e-3)


@pytest.mark.parametrize("unit", [1e-300, 1e-45, 1.0, 1e45, 1e140])
def test_badge_tells_gradients_apart_whatever_their_unit(unit: float) -> None:
    """Logits 100 apart make gradients that float32 has no numbers for."""
    pool, wanted = pool_of(60), a_round(8)
    assert pool.gradient is not None
    unit = 2.0 ** round(np.log2(unit))
    scaled = replace(pool, gradient=Gradient(pool.gradient.left * unit, pool.gradient.right))
    picked, found = (Badge().pick(HeldView(bags), {}, wanted) for bags in (pool, scaled))
    assert found.candidates.index.tolist() == picked.candidates.index.tolist()
    assert found.filled == 0


def test_k_centers_score_is_the_squared_distance_to_those_before() -> None:
    pool = pool_of(30)
    found = KCenter().pick(HeldView(pool), {}, a_round(10)).candidates
    rows = pool.features[(found.index - 5) // 3].astype(np.float64)
    gaps = [min(((row - other) ** 2).sum() for other in rows[:at]) for at, row in enumerate(rows) if at]
    np.testing.assert_allclose(found.score[1:], gaps, rtol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_clusters_are_those_of_average_linkage(seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(40, 3)).astype(np.float32)
    theirs = fcluster(linkage(rows.astype(np.float64), "average"), 7, "maxclust")
    pairs = {(int(a), int(b)) for a, b in zip(clusters(rows, 7), theirs, strict=True)}
    assert len(pairs) == len(set(theirs)) == 7


def test_turns_take_one_of_each_cluster_small_clusters_first() -> None:
    cluster, key = np.array([2, 0, 0, 1, 0, 1]), np.array([0.5, 0.3, 0.1, 0.9, 0.2, 0.4])
    assert turns(cluster, key).tolist() == [0, 5, 2, 3, 4, 1]


def test_cluster_margin_takes_turns_among_the_smallest_margins() -> None:
    pool, wanted = pool_of(80), a_round(6, epoch=3)
    margins = np.argsort(np.abs(np.subtract(*pool.logits.T)), kind="stable")[:24]
    rows = np.sort(margins)
    key = np.array([splitmix64(stream_key(0, "cluster-margin", 3), int(at)) for at in pool.index[rows]])
    expected = rows[turns(clusters(pool.features[rows], 6), key)[:6]]
    found = ClusterMargin(keep=4).pick(HeldView(pool), {}, wanted).candidates
    assert found.index.tolist() == pool.index[expected].tolist()


def test_cluster_margin_without_room_to_choose_is_margin() -> None:
    pool = pool_of(30)
    found = ClusterMargin(keep=1).pick(HeldView(pool), {}, a_round(9)).candidates
    assert set(found.index) == set(Margin().pick(HeldView(pool), {}, a_round(9)).candidates.index)


def test_filtered_badge_draws_from_the_largest_gradients_only() -> None:
    pool, wanted = pool_of(100), a_round(5)
    found = BadgeFiltered(keep=4).pick(HeldView(pool), {}, wanted)
    assert pool.gradient is not None
    largest = np.sort(np.argsort(-pool.gradient.norm)[:20])
    badge = Badge().pick(HeldView(pool.take(largest)), {}, wanted)
    assert found.candidates.index.tolist() == badge.candidates.index.tolist()
    assert found.candidates.seen == 100


def test_filtered_badge_that_keeps_all_is_badge() -> None:
    pool, wanted = pool_of(50), a_round(5)
    found = BadgeFiltered(keep=10).pick(HeldView(pool), {}, wanted)
    assert found.candidates.index.tolist() == Badge().pick(HeldView(pool), {}, wanted).candidates.index.tolist()
    assert found.left_out == 0.0


@pytest.mark.parametrize(("keep", "seed"), [(2, 0), (5, 1), (8, 2)])
def test_what_the_filter_leaves_out_is_bounded(keep: int, seed: int) -> None:
    """The chance that a draw goes to a bag below the floor, at the same centres, is what was promised at most."""
    pool, k = pool_of(100, seed), 8
    found = BadgeFiltered(keep=keep).pick(HeldView(pool), {}, a_round(k))
    assert pool.gradient is not None
    rows = pool.gradient.left * pool.gradient.right
    below = np.argsort(-pool.gradient.norm)[keep * k :]
    chosen = rows[(found.candidates.index - 5) // 3]
    chances = []
    for at in range(1, k):
        mass = ((rows[:, None] - chosen[None, :at]) ** 2).sum(2).min(1)
        chances.append(mass[below].sum() / mass.sum())
    assert np.mean(chances) <= found.left_out <= 1.0


def test_the_label_reaches_the_filter() -> None:
    assert replace(BadgeFiltered(), label="known").label == "known"


def test_bags_of_infinite_features_are_not_clustered() -> None:
    pool = pool_of(20)
    features = pool.features.copy()
    features[3] = np.inf
    sick = embedded(pool.logits, features, pool.index)
    found = ClusterMargin(keep=10).pick(HeldView(sick), {}, a_round(15)).candidates
    assert (found.dropped, len(found.index)) == (1, 15)
    assert pool.index[3] not in found.index
