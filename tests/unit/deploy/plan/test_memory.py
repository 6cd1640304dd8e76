"""Memory against cases worked out by hand."""

from dataclasses import replace

import pytest

from negsift.deploy.plan.memory import (
    COORDINATOR_OWN,
    DRAWING_OWN,
    LIBRARIES,
    PROGRAM_OWN,
    RAY_OWN,
    SCORER_OWN,
    Working,
    memory_plan,
    shard_parts,
)
from tests.unit.deploy.plan.works import IMAGES, TABLE, work

WORKING = Working(score=7e6, train=9e6)


def test_a_scorer_has_its_bags_their_embeddings_and_the_weights_three_times() -> None:
    parts = shard_parts(work())
    assert {name: parts[name] for name in ("model", "embeddings", "points")} == {
        "model": 12_000, "embeddings": 640_000, "points": 0,
    }  # fmt: skip
    assert shard_parts(work(cache_mb=0))["embeddings"] == 0


def test_a_shard_maps_the_pages_around_its_bags() -> None:
    whole = 65_000 * 1.1 * 1_000  # with the positives, and a tenth of both to validate on
    small, large = replace(IMAGES, instances=5), replace(IMAGES, instances=1 / 100)  # 200 bytes each, and 100,000
    assert shard_parts(work(small))["pool"] == pytest.approx(whole)
    assert shard_parts(work(large))["pool"] == pytest.approx(6_400_000)


def test_points_are_kept_in_place_of_embeddings() -> None:
    parts = shard_parts(work(strategy="badge"))
    assert (parts["embeddings"], parts["points"]) == (0, 6_400 * (40 + 8 + 16))


def test_points_that_exceed_the_cache_are_in_a_file() -> None:
    plan = memory_plan(work(strategy="badge", cache_mb=0), WORKING)
    assert plan.point_files == 5 * 6_400 * 40
    assert plan.scorer["points"] == 6_400 * 24


def test_bags_of_a_table_take_their_budget_at_most() -> None:
    assert shard_parts(work(TABLE, pool_mb=101))["pool"] == 101 << 20
    assert shard_parts(work(TABLE))["pool"] == (100 << 20) + 6_400 * 1_000


def test_a_node_has_its_scorers_and_counts_libraries_once() -> None:
    plan = memory_plan(work(), WORKING)
    assert plan.scorer["process"] == SCORER_OWN + LIBRARIES
    assert plan.node["process"] == 5 * SCORER_OWN
    assert plan.node["libraries and Ray"] == LIBRARIES + RAY_OWN
    assert plan.node["forward pass"] == 5 * 7e6
    assert plan.page_cache == plan.node["pool"] == 65_000 * 1.1 * 1_000
    assert plan.object_store == 2 * 4_000 + 64_000 * (5 * 8 + 24)
    assert plan.coordinator == {"process": COORDINATOR_OWN, "merging": 3 * 240_000, "drawing": 0}
    assert (plan.node["training"], plan.node["bags to train on"]) == (9e6, 0)


def test_one_process_has_all_shards() -> None:
    plan = memory_plan(work(TABLE, on_ray=False), WORKING)
    assert plan.scorer == plan.coordinator == {}
    assert plan.node["program"] == PROGRAM_OWN + LIBRARIES
    assert plan.node["embeddings"] == 10 * 640_000
    assert plan.node["bags to train on"] == 2_000 * 1_984
    assert plan.object_store == plan.page_cache == 0


@pytest.mark.parametrize("gathered", [True, False])
def test_compiled_loops_are_where_the_draw_is(gathered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("negsift.deploy.plan.memory.numba_installed", lambda: True)
    plan = memory_plan(work(strategy="badge", scorers=1, held_mb=64 * gathered), WORKING)
    assert plan.coordinator["drawing"] == DRAWING_OWN  # it loads them to draw from what shards send, too
    assert plan.scorer["drawing"] == (not gathered) * DRAWING_OWN
    assert memory_plan(work(strategy="badge", scored=6_400), WORKING).coordinator["drawing"] == 0  # 300 KB of points


def test_the_coordinator_gathers_points_three_times_and_their_state() -> None:
    plan = memory_plan(work(strategy="badge"), WORKING)
    assert plan.coordinator["merging"] == pytest.approx(64_000 * (3 * 48 + 16))
