"""The clock of waiting loops: a pause of the process doesn't count, the time between two loops does."""

import pytest

from negsift.service.fleet.failover import Kill, Limits, RequestTracker
from negsift.service.fleet.pause_clock import PauseClock


@pytest.mark.parametrize(("gaps_s", "counted_s"), [([0.2] * 5, 1.0), ([0.2, 60.0, 0.2], 1.4), ([90.0, 90.0], 2.0)])
def test_a_gap_between_ticks_counts_as_a_second_at_most(gaps_s: list[float], counted_s: float) -> None:
    times = [0.0]
    clock = PauseClock(lambda: times[-1])
    for gap_s in gaps_s:
        times.append(times[-1] + gap_s)
        now = clock.tick()
    assert now == pytest.approx(counted_s)


def test_the_time_between_two_rounds_counts() -> None:
    times = [0.0]
    clock = PauseClock(lambda: times[-1])
    times.append(60.0)
    assert clock.resume() == 60.0


def test_a_stopped_coordinator_ends_no_scorer() -> None:
    times = [0.0]
    clock, asked = PauseClock(lambda: times[-1]), RequestTracker[str](1, Limits(call_s=10.0), {})
    asked.next(clock.tick())
    times.append(100.0)
    assert asked.next(clock.tick()) == []
    times += [100.0 + step for step in range(1, 11)]
    for step in range(1, 11):
        times.append(100.0 + step)
        actions = asked.next(clock.tick())
    assert actions == [Kill(0)]
