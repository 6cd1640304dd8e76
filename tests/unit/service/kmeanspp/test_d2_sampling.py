"""D² sampling: the picks of a slow oracle, whatever the shards, the backends, the blocks and the stretches."""

import pickle
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from threadpoolctl import threadpool_limits

from negsift.service.kmeanspp import arrival_scan, d2_sampling, numba_policy
from negsift.service.kmeanspp import nearest as nearest_module
from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.point_pool import LocalPool
from negsift.service.kmeanspp.points import Points, squared_gaps
from negsift.service.kmeanspp.queries import Answer, PointQuery
from negsift.service.kmeanspp.seeding import Seeding, SeedingSpec
from negsift.service.kmeanspp.shard_rows import ShardRows
from tests.unit.d2_oracle import Oracle
from tests.unit.seeding_pools import BACKENDS, heavy_tailed, points_of, pool_of

STEPS = st.one_of(st.integers(-3, 3), st.integers(-(2**20), 2**20))
POOLS = st.tuples(st.integers(1, 60), st.integers(1, 3)).flatmap(lambda shape: arrays(np.int64, shape, elements=STEPS))


def by_oracle(rows: np.ndarray, spec: SeedingSpec) -> tuple[list[int], int]:
    oracle = Oracle(rows.tolist(), points_of(rows).index.tolist(), spec.count, spec.seed, spec.epoch)
    drawn, filled = oracle.run()
    return [5 + 3 * row for row in drawn], filled


def picks(seeding: Seeding) -> tuple[list[int], int]:
    return seeding.index.tolist(), seeding.filled


@settings(max_examples=100)
@given(rows=POOLS, share=st.floats(0.0, 1.2), epoch=st.integers(0, 3), shards=st.integers(1, 5))
def test_picks_are_those_of_one_arrival_at_a_time(rows: np.ndarray, share: float, epoch: int, shards: int) -> None:
    spec = SeedingSpec(round(share * len(rows)), 7, epoch)
    assert picks(d2_sample(pool_of(points_of(rows), shards), spec)) == by_oracle(rows, spec)


@pytest.mark.parametrize("clusters", [0, 6])
@pytest.mark.parametrize("seed", range(8))
def test_picks_of_many_centres_are_those_of_one_arrival_at_a_time(seed: int, clusters: int) -> None:
    rows, spec = heavy_tailed(300, 3, seed, clusters), SeedingSpec(40 + 30 * seed, seed, 1)
    assert picks(d2_sample(pool_of(points_of(rows), 3), spec)) == by_oracle(rows, spec)


@pytest.mark.parametrize("least", [0, 1 << 62])
@pytest.mark.parametrize("seed", range(2))
def test_picks_from_fresh_sketches_are_those_of_one_arrival_at_a_time(
    seed: int, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba_policy, "_LEAST_PRODUCTS", least)
    rows, spec = heavy_tailed(20_000, 8, seed, clusters=6), SeedingSpec(100, seed, 0)
    oracle = Oracle(rows.tolist(), points_of(rows).index.tolist(), spec.count, spec.seed)
    drawn, filled = oracle.run()
    assert picks(d2_sample(pool_of(points_of(rows), 2), spec)) == ([5 + 3 * row for row in drawn], filled)
    assert oracle.sketches >= 2


@pytest.mark.parametrize("least", [0, 1 << 62])
def test_scores_are_the_distances_to_the_centres_before(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_policy, "_LEAST_PRODUCTS", least)
    points = points_of(heavy_tailed(2_000, 8, seed=3, clusters=6))
    found = d2_sample(pool_of(points, 2), SeedingSpec(500, 0, 0))  # of which many arrive again
    rows = np.searchsorted(points.index, found.index[: 500 - found.filled])
    gaps = squared_gaps(points.take(rows), points.take(rows))
    expected = [gaps[row, :row].min() for row in range(1, len(rows))]
    np.testing.assert_array_equal(found.score[1 : len(rows)], expected)


def test_the_cases_above_take_passes() -> None:
    """Else they would say nothing of them."""
    oracles = [Oracle(heavy_tailed(300, 3, seed).tolist(), range(300), 200, seed) for seed in range(4)]
    for oracle in oracles:
        oracle.run()
    assert all(oracle.passes >= 2 for oracle in oracles)


@pytest.mark.parametrize("shards", [2, 7])
@pytest.mark.parametrize("backend", BACKENDS)
def test_picks_do_not_depend_on_shards_or_backends(backend: str, shards: int) -> None:
    points, spec = points_of(heavy_tailed(500, 4, seed=1)), SeedingSpec(150, 3, 2)
    shared, alone = d2_sample(pool_of(points, shards, BACKENDS[backend]), spec), d2_sample(pool_of(points), spec)
    np.testing.assert_array_equal(shared.index, alone.index)
    np.testing.assert_array_equal(shared.score, alone.score)


@pytest.mark.parametrize("backend", BACKENDS)
def test_picks_of_two_factors_are_those_of_their_products(backend: str) -> None:
    left, right = heavy_tailed(300, 3, seed=1) >> 4, heavy_tailed(300, 5, seed=2) >> 4
    index = np.arange(300, dtype=np.int64)
    factors = Points(index, (left.astype(np.float32), right.astype(np.float32)))
    product = (left[:, :, None] * right[:, None, :]).reshape(300, -1)
    seeding = d2_sample(pool_of(factors, 3, BACKENDS[backend]), SeedingSpec(100, 0, 0))
    assert picks(seeding) == Oracle(product.tolist(), index.tolist(), 100).run()


@pytest.mark.parametrize("name", ["_FIRST_STRETCH", "_SURPLUS", "_SPARE", "_GROWTH"])
@pytest.mark.parametrize("factor", [0.02, 7.0])
def test_picks_do_not_depend_on_the_length_of_stretches(
    name: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, spec = points_of(heavy_tailed(400, 3, seed=4)), SeedingSpec(120, 0, 0)
    expected = d2_sample(pool_of(points, 2), spec)
    monkeypatch.setattr(d2_sampling, name, getattr(d2_sampling, name) * factor)
    np.testing.assert_array_equal(d2_sample(pool_of(points, 2), spec).index, expected.index)


@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_picks_do_not_depend_on_the_size_of_blocks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    points, spec = points_of(heavy_tailed(400, 3, seed=5)), SeedingSpec(150, 0, 0)
    expected = d2_sample(pool_of(points, 2), spec)
    monkeypatch.setattr(arrival_scan, "_LEAST_BLOCK", size)
    monkeypatch.setattr(arrival_scan, "_MOST_BLOCK", size)
    monkeypatch.setattr(nearest_module, "_LEAST_ROWS", size)
    np.testing.assert_array_equal(d2_sample(pool_of(points, 2), spec).index, expected.index)


@pytest.mark.parametrize("threads", [1, 2])
def test_picks_do_not_depend_on_threads(threads: int) -> None:
    points, spec = points_of(heavy_tailed(20_000, 40, seed=5)), SeedingSpec(300, 0, 0)
    outside = torch.get_num_threads()
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        drawn = [d2_sample(pool_of(points, 2, backend), spec).index.tolist() for backend in BACKENDS.values()]
        torch.set_num_threads(outside)
    assert drawn == [d2_sample(pool_of(points), spec).index.tolist()] * len(BACKENDS)


@pytest.mark.parametrize("least", [0, 1 << 62])
@pytest.mark.parametrize("clusters", [0, 6])
def test_compiled_and_plain_scans_pick_the_same(least: int, clusters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_policy, "_LEAST_PRODUCTS", least)
    rows, spec = heavy_tailed(300, 3, 11, clusters), SeedingSpec(200, 4, 1)
    assert picks(d2_sample(pool_of(points_of(rows), 2), spec)) == by_oracle(rows, spec)


class RestartingPool(LocalPool):
    """A shard that is restarted, with another backend and so with other bounds, before some of the questions."""

    def __init__(self, points: Points, before: Sequence[int]) -> None:
        super().__init__(ShardRows(points))
        self._points, self._before, self._asked, self.restarts = points, before, 0, 0

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        self._asked += 1
        if self._asked in self._before:
            self._shards = (ShardRows(self._points, BACKENDS["torch"]),)
            self.restarts += 1
        return super().ask(query)


@pytest.mark.parametrize("before", [[1], [2], [3], [4], [5], [6], [3, 4, 5], range(1, 99)])
def test_picks_do_not_depend_on_restarted_shards(before: Sequence[int]) -> None:
    points, spec = points_of(heavy_tailed(400, 3, seed=6)), SeedingSpec(150, 0, 0)
    restarted = d2_sample(RestartingPool(points, before), spec)
    np.testing.assert_array_equal(restarted.index, d2_sample(pool_of(points), spec).index)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (30, 30), (31, 30), (10**9, 30)])
def test_as_many_as_asked_for_are_drawn_or_all_there_are(count: int, expected: int) -> None:
    seeding = d2_sample(pool_of(points_of(heavy_tailed(30, 2, seed=0)), 3), SeedingSpec(count, 0, 0))
    assert len(seeding.index) == len(set(seeding.index.tolist())) == len(seeding.score) == expected


@pytest.mark.parametrize(
    ("rows", "filled"),
    [(np.zeros((6, 2)), 5), (np.full((6, 2), 2**20), 5), (np.eye(6)[[0, 1, 0, 1, 0, 2]], 3), (np.zeros((1, 1)), 0)],
)
def test_points_on_a_centre_only_fill_and_are_counted(rows: np.ndarray, filled: int) -> None:
    seeding = d2_sample(pool_of(points_of(rows), 2), SeedingSpec(6, 0, 0))
    assert sorted(seeding.index.tolist()) == points_of(rows).index.tolist()
    assert seeding.filled == filled
    assert not seeding.score[len(rows) - filled :].any()


def test_points_that_nearly_lie_on_each_other_do_not_cost_rounds() -> None:
    """Distances far below what float32 can tell apart: bounds that are mostly rounding would ask in vain for ever."""
    rows = 2**20 - np.random.default_rng(0).integers(0, 4, (500, 3))
    seeding = d2_sample(pool_of(points_of(rows), 2), SeedingSpec(60, 0, 0))
    assert picks(seeding) == by_oracle(rows, SeedingSpec(60, 0, 0))
    assert seeding.traffic.rounds <= 20


def test_filling_differs_between_epochs() -> None:
    points = points_of(np.zeros((30, 2)))
    drawn = {tuple(d2_sample(pool_of(points), SeedingSpec(10, 0, epoch)).index) for epoch in range(5)}
    assert len(drawn) == 5


@pytest.mark.parametrize("columns", [1, 8_192, 20_000])
def test_few_and_many_columns_are_drawn_as_the_oracle_draws(columns: int) -> None:
    steps, spec = 2 ** min(20, (53 - (columns - 1).bit_length()) // 2), SeedingSpec(9, 0, 0)
    rows = np.rint(np.random.default_rng(0).normal(size=(30, columns)).clip(-3, 3) / 3 * steps).astype(np.int64)
    assert picks(d2_sample(pool_of(points_of(rows), 2), spec)) == by_oracle(rows, spec)


def test_scores_are_squared_distances_to_the_points_before() -> None:
    rows = heavy_tailed(60, 3, seed=0)
    seeding = d2_sample(pool_of(points_of(rows), 2), SeedingSpec(40, 0, 0))
    chosen = rows[(seeding.index - 5) // 3].astype(np.float64)
    gaps = [((chosen[:place] - chosen[place]) ** 2).sum(1).min() for place in range(1, 40)]
    assert seeding.score.tolist() == [(chosen[0] ** 2).sum(), *gaps]


def test_a_first_centre_at_random_is_any_point() -> None:
    points = points_of(heavy_tailed(20, 2, seed=0))
    specs = [SeedingSpec(1, 0, epoch, random_first=True) for epoch in range(400)]
    assert len({int(d2_sample(pool_of(points, 2), spec).index[0]) for spec in specs}) == 20


def test_traffic_counts_rounds_passes_points_and_bytes() -> None:
    points = points_of(heavy_tailed(400, 3, seed=1))
    traffic = d2_sample(pool_of(points, 4), SeedingSpec(100, 0, 0)).traffic
    assert traffic.rounds >= 3
    assert traffic.passes >= 1
    assert 100 <= traffic.points <= 400 * (traffic.rounds // 2) + 4 * 128
    assert traffic.size_bytes >= traffic.points * points.take(slice(1)).size_bytes


Message = TypeVar("Message")


class RemotePool:
    """Shards far away: questions and answers are pickled, and their bytes are counted."""

    restarts = 0

    def __init__(self, shards: LocalPool) -> None:
        self._shards, self.messages, self.size_bytes = shards, 0, 0

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        answers = self._shards.ask(self._sent(query))
        self.size_bytes += (len(answers) - 1) * len(pickle.dumps(query))  # to every shard
        return [self._sent(answer) for answer in answers]

    def _sent(self, message: Message) -> Message:
        wire = pickle.dumps(message)
        self.messages, self.size_bytes = self.messages + 1, self.size_bytes + len(wire)
        copy: Message = pickle.loads(wire)
        return copy


def test_the_bytes_counted_are_those_that_travel() -> None:
    remote = RemotePool(pool_of(points_of(heavy_tailed(4_000, 64, seed=1)), 4))
    counted = d2_sample(remote, SeedingSpec(200, 0, 0)).traffic.size_bytes
    assert counted <= remote.size_bytes <= counted + 2_000 * remote.messages


def test_a_hundred_thousand_points_take_a_handful_of_rounds() -> None:
    points = points_of(heavy_tailed(100_000, 8, seed=2))
    alone, shared = (d2_sample(pool_of(points, shards), SeedingSpec(1_000, 0, 0)) for shards in (1, 5))
    np.testing.assert_array_equal(alone.index, shared.index)
    assert shared.traffic.rounds <= 16
    assert shared.traffic.passes <= 3
