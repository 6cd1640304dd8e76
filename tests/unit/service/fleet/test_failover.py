"""Decisions about scorers that are slow, hung or lost, with a clock of our own and no Ray."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.service.fleet.failover import Call, Kill, Limits, Probe, RequestTracker, slow_after_s
from negsift.service.fleet.shard_work import TakenOver
from negsift.service.pool.blocks import WorkItem, share_blocks

LIMITS = Limits(round_s=100.0, call_s=50.0, needs="1 CPU and 0 GPU")


def question(scorers: int, late: dict[int, float] | None = None, cuts: TakenOver | None = None) -> RequestTracker:
    return RequestTracker(scorers, LIMITS, late or {}, cuts)


def started(scorers: int) -> RequestTracker:
    """One where all scorers were given their own share at second 0."""
    asked = question(scorers)
    assert asked.next(0.0) == [Call(number, WorkItem(number)) for number in range(scorers)]
    return asked


def test_answers_come_in_the_order_of_the_shards() -> None:
    asked = started(3)
    for number in (2, 0, 1):
        asked.answered(number, WorkItem(number), f"answer {number}", 1.0)
    assert asked.done
    assert asked.answers == ["answer 0", "answer 1", "answer 2"]


def test_a_lost_scorer_is_probed_and_asked_again_when_it_is_back() -> None:
    asked = started(2)
    asked.lost(1, "gone", 1.0)
    assert asked.next(1.1) == []
    assert asked.next(1.3) == [Probe(1)]
    asked.lost(1, "not yet", 2.0)
    assert asked.next(2.3) == [Probe(1)]
    asked.back(1)
    assert asked.next(2.4) == [Call(1, WorkItem(1))]
    assert asked.scorers[1].losses == 1


def test_a_slow_shard_is_split_among_idle_scorers() -> None:
    asked = started(3)
    for number in (0, 1):
        asked.answered(number, WorkItem(number), "a", 4.0)
    assert asked.next(11.9) == []
    assert asked.next(12.1) == [Call(0, WorkItem(2, 0, 2)), Call(1, WorkItem(2, 1, 2))]
    asked.answered(1, WorkItem(2, 1, 2), "second", 13.0)
    asked.answered(0, WorkItem(2, 0, 2), "first", 14.0)
    assert asked.done
    assert asked.answers == ["a", "a", "first", "second"]
    assert asked.splits == 1


def test_a_slow_scorer_that_is_there_first_after_all_counts() -> None:
    asked = started(3)
    for number in (0, 1):
        asked.answered(number, WorkItem(number), "a", 1.0)
    asked.next(20.0)
    asked.answered(0, WorkItem(2, 0, 2), "first", 21.0)
    asked.answered(2, WorkItem(2), "whole", 22.0)
    assert asked.answers == ["a", "a", "whole"]
    asked.answered(1, WorkItem(2, 1, 2), "second", 23.0)
    assert asked.answers == ["a", "a", "whole"]


def test_a_lost_scorers_shard_is_split_at_once_for_all_that_are_there() -> None:
    asked = started(3)
    asked.answered(0, WorkItem(0), "a", 1.0)
    asked.lost(2, "gone", 1.0)
    assert asked.next(1.0) == [Call(0, WorkItem(2, 0, 2))]
    asked.answered(1, WorkItem(1), "a", 1.1)
    assert asked.next(1.1) == [Call(1, WorkItem(2, 1, 2))]
    assert asked.splits == 1


def test_a_lost_scorer_that_is_back_takes_items_of_its_own_shard() -> None:
    asked = started(3)
    asked.answered(0, WorkItem(0), "a", 1.0)
    asked.lost(2, "gone", 1.0)
    asked.next(1.0)
    asked.back(2)
    assert asked.next(2.0) == [Call(2, WorkItem(2, 1, 2))]
    asked.answered(2, WorkItem(2, 1, 2), "second", 3.0)
    assert asked.next(3.0) == []  # the others are at work on the rest


def test_a_shard_whose_takers_are_slow_is_asked_of_its_own_scorer_again() -> None:
    asked = started(3)
    asked.lost(2, "gone", 0.5)
    for number in (0, 1):
        asked.answered(number, WorkItem(number), "a", 1.0)
    asked.next(1.0)
    asked.back(2)
    assert asked.next(4.9) == []
    assert asked.next(5.1) == [Call(2, WorkItem(2))]


def test_a_scorer_that_is_being_restarted_is_probed_once_it_is_there() -> None:
    asked = started(2)
    assert asked.lost(1, "gone", 1.0)
    asked.restarting({1})
    assert asked.next(5.0) == []
    asked.restarting(set())
    assert asked.next(5.2) == [Probe(1)]


def test_a_scorer_still_down_from_an_earlier_request_is_not_asked() -> None:
    asked = RequestTracker(3, LIMITS, {}, down={2: -1.0})
    asked.restarting({2})
    assert asked.next(0.0) == [Call(0, WorkItem(0)), Call(1, WorkItem(1))]
    asked.answered(0, WorkItem(0), "a", 1.0)
    assert asked.next(1.0) == [Call(0, WorkItem(2, 0, 2))]


def test_only_calls_that_somebody_waits_for_are_repeated() -> None:
    asked = question(3, late={1: -10.0})
    asked.next(0.0)
    assert not asked.lost(1, "gone, with its old call", 0.1)
    assert asked.lost(2, "gone", 0.1)
    assert not asked.lost(2, "not back yet", 0.5)


def test_a_part_lost_with_its_taker_is_given_to_another() -> None:
    asked = started(3)
    for number in (0, 1):
        asked.answered(number, WorkItem(number), "a", 1.0)
    asked.lost(2, "gone", 1.0)
    assert Call(1, WorkItem(2, 1, 2)) in asked.next(1.1)
    asked.lost(1, "gone, too", 1.2)
    asked.answered(0, WorkItem(2, 0, 2), "first", 1.3)
    assert asked.next(1.3) == [Probe(2), Call(0, WorkItem(2, 1, 2))]
    asked.answered(0, WorkItem(2, 1, 2), "second", 2.0)
    assert asked.done


def test_a_hung_scorer_is_killed_once() -> None:
    asked = started(2)
    assert asked.next(51.0) == [Kill(0), Kill(1)]
    assert asked.next(52.0) == []
    asked.lost(0, "gone", 53.0)
    assert asked.next(54.0) == [Probe(0)]


def test_a_late_scorer_pauses_until_its_old_call_is_done() -> None:
    asked = question(2, late={1: -10.0})
    assert asked.next(0.0) == [Call(0, WorkItem(0))]
    asked.answered(0, WorkItem(0), "a", 1.0)
    assert asked.next(1.0) == [Call(0, WorkItem(1, 0, 1))]
    asked.caught_up(1)
    assert asked.next(2.0) == []  # another has its work
    assert asked.next(6.1) == [Call(1, WorkItem(1))]  # and is slow itself
    asked.answered(0, WorkItem(1), "taken over", 7.0)
    assert asked.answers == ["a", "taken over"]


def test_a_late_scorer_that_hangs_is_killed() -> None:
    asked = question(2, late={1: -60.0})
    assert Kill(1) in asked.next(0.0)


HALVES = [WorkItem(2, 0, 2), WorkItem(2, 1, 2)]


def test_a_shard_taken_over_stays_with_its_takers() -> None:
    asked = started(3)
    for number in (0, 1):
        asked.answered(number, WorkItem(number), "a", 1.0)
    asked.next(20.0)
    for number in (1, 0):
        asked.answered(number, HALVES[number], "b", 21.0)
    assert asked.taken_over == {2: {HALVES[0]: 0, HALVES[1]: 1}}
    again = question(3, late={2: 0.0}, cuts=asked.taken_over)
    assert again.next(30.0) == [Call(0, WorkItem(0)), Call(1, WorkItem(1))]
    again.answered(1, WorkItem(1), "a", 31.0)
    assert again.next(31.0) == [Call(1, HALVES[1])]  # the other half waits for the one that has its points
    again.answered(0, WorkItem(0), "a", 32.0)
    assert again.next(32.0) == [Call(0, HALVES[0])]
    again.answered(1, HALVES[1], "second", 33.0)
    again.answered(0, HALVES[0], "first", 34.0)
    assert (again.answers, again.splits, again.taken_over) == (["a", "a", "first", "second"], 0, asked.taken_over)


def test_a_lost_taker_is_replaced_by_any_scorer() -> None:
    asked = question(3, cuts={2: {HALVES[0]: 0, HALVES[1]: 1}})
    asked.next(0.0)
    asked.answered(1, WorkItem(1), "a", 0.5)
    assert asked.next(0.5) == [Call(1, HALVES[1])]
    asked.lost(1, "gone", 1.0)
    assert asked.next(1.0) == [Call(2, HALVES[1])]
    asked.lost(2, "gone, too", 1.1)
    asked.answered(0, WorkItem(0), "a", 1.1)
    assert asked.next(1.1) == [Call(0, HALVES[0])]
    asked.answered(0, HALVES[0], "first", 1.15)
    assert asked.next(1.15) == [Call(0, HALVES[1])]


def test_a_shard_answered_by_its_own_scorer_returns_to_it() -> None:
    asked = started(3)
    for number in (0, 1):
        asked.answered(number, WorkItem(number), "a", 1.0)
    asked.next(20.0)
    asked.answered(2, WorkItem(2), "whole", 22.0)
    assert asked.taken_over == {}


@given(st.data(), st.integers(1, 5))
def test_whatever_is_lost_every_shard_is_answered_completely(data: st.DataObject, scorers: int) -> None:
    cut = data.draw(st.sets(st.integers(0, scorers - 1)))
    of = data.draw(st.integers(1, 3))
    cuts = {
        number: {WorkItem(number, at, of): data.draw(st.integers(0, scorers - 1)) for at in range(of)} for number in cut
    }
    late = {number: 0.0 for number in cut if data.draw(st.booleans())}
    asked, running, now = question(scorers, late=late, cuts=cuts), dict[int, WorkItem | None](), 0.0
    running |= dict.fromkeys(late)
    for losses_left in (*range(12, 0, -1), *[0] * 200):
        now += 2.0
        for action in asked.next(now):
            if isinstance(action, Call):
                assert action.scorer not in running
                running[action.scorer] = action.item
            elif isinstance(action, Probe):
                asked.back(action.scorer)
        if asked.done:
            break
        if running:
            scorer = data.draw(st.sampled_from(sorted(running)))
            item = running.pop(scorer)
            if losses_left and data.draw(st.booleans()):
                asked.lost(scorer, "gone", now)
            elif item is None:
                asked.caught_up(scorer)
            else:
                asked.answered(scorer, item, item, now)
    assert asked.done
    for number in range(scorers):
        items = [item for item in asked.answers if item.shard == number]
        assert [item.part for item in items] == list(range(items[0].parts))


def test_overdue_scorers_are_named_with_their_state() -> None:
    asked = started(3)
    asked.answered(0, WorkItem(0), "a", 1.0)
    asked.lost(1, "ActorUnavailableError", 10.0)
    assert asked.overdue(100.0) == (
        "scorer-1 (lost 1 times (ActorUnavailableError), not back for 90 s), scorer-2 (at work for 100 s)"
    )


@pytest.mark.parametrize(
    ("spans", "scorers", "limit_s"), [([], 2, None), ([1.0], 3, None), ([1.0], 2, 5.0), ([10.0, 20.0, 60.0], 4, 60.0)]
)
def test_slow_is_three_times_the_median_and_five_seconds(
    spans: list[float], scorers: int, limit_s: float | None
) -> None:
    assert slow_after_s(spans, scorers) == limit_s


@given(st.integers(0, 500), st.integers(1, 20), st.integers(1, 20))
def test_the_parts_of_a_shard_are_the_shard(blocks: int, shards: int, of: int) -> None:
    for number, share in enumerate(share_blocks(blocks, shards)):
        parts = share_blocks(blocks, shards * of)[number * of : (number + 1) * of]
        assert [block for part in parts for block in part] == list(share)
