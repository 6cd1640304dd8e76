"""Seconds against cases worked out by hand."""

import pytest

from negsift.deploy.plan.seconds import EpochSeconds, Rates, round_parts, scorers_needed
from tests.unit.deploy.plan.works import ROUNDS, TABLE, work

RATES = Rates(memory=1_000, disk=500, store=250, train=100, device=2_000)


def test_scorers_share_the_pool_and_shards_of_a_process_its_threads() -> None:
    assert round_parts(work(), RATES)["scoring"] == pytest.approx(6.4)
    assert round_parts(work(on_ray=False), RATES)["scoring"] == pytest.approx(64.0)
    assert round_parts(work(scored=6_400), RATES)["scoring"] == pytest.approx(0.64)


def test_reading_is_what_a_bag_takes_beyond_one_in_memory() -> None:
    parts = round_parts(work(TABLE, pool_mb=100, disk_mb=0), RATES)
    assert parts["scoring"] + parts["reading"] == pytest.approx(6_400 / 250)
    assert round_parts(work(TABLE, pool_mb=100), RATES)["reading"] == pytest.approx(6_400 / 500 - 6_400 / 1_000)
    assert round_parts(work(TABLE, pool_mb=100, disk_mb=0, on_ray=False), RATES)["reading"] == pytest.approx(64 * 3)


def test_bags_to_learn_from_and_bags_not_kept_are_embedded_besides() -> None:
    assert round_parts(work(strategy="svm_margin", also=2_000), RATES)["learning"] == pytest.approx(0.2)
    assert round_parts(work(strategy="badge_filtered"), RATES)["scoring again"] == 0
    assert round_parts(work(strategy="badge_filtered", cache_mb=0), RATES)["scoring again"] == pytest.approx(6.4)


def test_drawing_grows_with_the_square_of_the_picks() -> None:
    one, two = (round_parts(work(strategy="badge", picks=picks), RATES)["drawing"] for picks in (100_000, 200_000))
    points = 64_000 * (4e-8 + 10 * 1.5e-10)
    assert one == pytest.approx(points + 3.5e-11 * 1e10 * 10)
    assert two - points == pytest.approx(4 * (one - points))


def test_an_epoch_waits_for_its_round_or_for_what_training_leaves_of_it() -> None:
    def share(**changes: int) -> EpochSeconds:
        return EpochSeconds.of({"scoring": 30.0}, work(**changes).rounds, train=20.0, validate=10.0)

    assert (share().wait, share().share) == (30, 0.5)
    assert share(staleness=1).wait == 10
    assert share(every=3).share == pytest.approx(0.25)
    assert EpochSeconds.of({"scoring": 5.0}, work(staleness=1).rounds, 20.0, 10.0).share == 0
    assert ROUNDS.every == 1


@pytest.mark.parametrize("enough", [1, 2, 3, 7, 64, 1000])
def test_the_fewest_scorers_that_do_are_found(enough: int) -> None:
    assert scorers_needed(lambda scorers: 10.0 if scorers < enough else 1.0, 5.0) == enough


def test_no_number_of_scorers_makes_the_draw_faster() -> None:
    assert scorers_needed(lambda scorers: 6.0 + 1 / scorers, 5.0) is None
