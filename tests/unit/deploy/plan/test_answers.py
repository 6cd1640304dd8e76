"""Bytes over the network and where bags lie, against cases worked out by hand."""

from dataclasses import replace

import pytest

from negsift.deploy.plan.answers import (
    AnswerKind,
    Answers,
    Streaming,
    arriving_points,
    best_bytes,
    points_bytes,
    round_traffic,
)
from negsift.deploy.plan.workload import Sizes
from tests.unit.deploy.plan.works import TABLE, work
from tests.unit.toys import bag_set, cnn, select


def test_shards_have_whole_blocks() -> None:
    assert (work().share, work().scored) == (6_400, 6_400)
    assert work(bags=64_001, scored=64_001).share == 6_464  # 1,001 blocks: 101 for the largest shard
    assert (work(scored=640).scored, work(scored=64).scored) == (64, 64)


def test_each_shard_sends_its_best_and_marks_of_the_rest() -> None:
    assert best_bytes(1_000, work()) == 24 * 10 * 1_000  # ten thousand rows are sent at once
    assert best_bytes(10_000, work()) == 24 * 10 * (1_000 + 127 + 64)  # k/S + 4√(k/S), and the marks
    assert best_bytes(10_000, work(scored=640)) == 24 * 10 * 64  # a shard has no more
    assert best_bytes(0, work()) == 0


def test_a_round_sends_weights_to_each_node_and_the_selection_back() -> None:
    traffic = round_traffic(work())
    assert (traffic.weights, traffic.answers, traffic.selection, traffic.pool) == (8_000, 240_000, 24_000, 0)


def test_embeddings_that_are_learnt_from_are_sent() -> None:
    assert round_traffic(work(strategy="svm_margin", also=2_000)).answers == 240_000 + 2_000 * 100


def test_points_are_gathered_up_to_their_limit() -> None:
    few, many = work(strategy="badge"), work(strategy="badge", held_mb=1)
    assert Answers.of(few) == Answers(AnswerKind.POINTS, 0, 64_000, gathered=True)
    assert points_bytes(Answers.of(few), few) == 64_000 * 48
    assert not Answers.of(many).gathered
    # 800 points and 3.4 for each pick arrive with a float64 each; ten shards are told half of the picks
    told = 1_000 * (0.5 + 14 / 64**2)
    assert points_bytes(Answers.of(many), many) == pytest.approx((800 + 3_400) * 56 + told * 480)


@pytest.mark.parametrize(
    ("picks", "seen"),  # of pools of 10,000 and 200,000 points: tests/bench/kmeanspp_traffic.md
    [(100, 1_393), (100, 707), (1_000, 4_878), (1_000, 5_320), (1_000, 3_153), (5_000, 17_868), (5_000, 13_262)],
)
def test_points_that_were_seen_to_arrive_are_planned_to_a_factor_of_two(picks: int, seen: int) -> None:
    assert 1 / 2 < arriving_points(picks) / seen < 2


def test_filtered_badge_has_ten_times_the_picks_as_points() -> None:
    assert Answers.of(work(strategy="badge_filtered")) == Answers(AnswerKind.FILTERED, 10_000, 10_000, gathered=True)


def test_a_shard_keeps_of_a_table_what_its_memory_holds() -> None:
    held = Streaming.of(work(TABLE, pool_mb=101, disk_mb=0))
    assert held.resident == pytest.approx((1 << 20) / 1_000)
    assert (held.on_disk, held.in_store, held.touched) == (0, 6_400 - held.resident, 1)
    everything = Streaming.of(work(TABLE, pool_mb=1024))
    assert (everything.resident, everything.on_disk, everything.in_store) == (6_400, 0, 0)


def test_a_node_keeps_decoded_bags_on_its_disk_up_to_their_limit() -> None:
    held = Streaming.of(work(TABLE, pool_mb=100, disk_mb=8))  # five scorers to a node: 32,000,000 bytes
    kept = (8 << 20) / 32_000_000
    assert (held.on_disk, held.in_store) == (pytest.approx(6_400 * kept), pytest.approx(6_400 * (1 - kept)))


def test_candidates_touch_most_row_groups() -> None:
    held = Streaming.of(work(TABLE, pool_mb=100, disk_mb=0, scored=6_400))
    assert held.touched == pytest.approx(1 - 0.9**10)  # ten blocks to a row group
    assert round_traffic(work(TABLE, pool_mb=100, disk_mb=0)).pool == 64_000 * 500


@pytest.mark.parametrize(("strategy", "point"), [("entropy", 0), ("badge", 4 * 84 + 8)])
def test_a_real_round_sends_what_is_planned(strategy: str, point: int) -> None:
    sent = select(bag_set([2] * 96), cnn(), strategy, 5, shards=4).account.traffic.size_bytes
    planned = work(strategy=strategy, scorers=4, bags=96, scored=96, picks=5, most=5, block=8)
    assert round_traffic(replace(planned, sizes=Sizes(0, point, 84, 0))).answers == sent
