"""The short form of `make chaos`: four faults on three nodes."""

from collections import Counter

import pytest

from tests.cluster.chaos import bursts, run_chaos, schedule


@pytest.mark.usefixtures("no_local_ray")
def test_four_faults_change_no_selection_and_leave_no_process() -> None:
    outcome = run_chaos(schedule(4, seed=1), limit_s=600.0)
    assert len(outcome.hits) == 4
    assert outcome.different == 0
    assert outcome.left == []


def test_the_same_seed_gives_the_same_bursts_of_faults() -> None:
    faults = schedule(105, seed=3)
    assert faults == schedule(105, seed=3)
    assert faults != schedule(105, seed=4)
    assert Counter(fault.kind for fault in faults) == {"scorer": 60, "coordinator": 30, "node": 15}
    assert [len(burst) for burst in bursts(faults[:12])] == [1, 2, 3, 4, 1, 1]
