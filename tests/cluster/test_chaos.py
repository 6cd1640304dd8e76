"""The short form of `make chaos`: faults of every kind on three nodes."""

from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.chaos import KINDS, Burst, Fault, Outcome, Record, schedule
from tests.cluster.chaos_run import run_chaos

ONE_EACH = [
    *(Burst(number, "sampler", [Fault(kind, 0.4, 0.5)]) for number, kind in enumerate(KINDS)),
    Burst(10, "start", [Fault("scorer", 0.6, 0.5)]),
    Burst(11, "service", [Fault("scorer", 0.4, 0.5), Fault("coordinator", 0.4, 0.5)]),
]


@pytest.mark.slow
@pytest.mark.usefixtures("no_local_ray")
def test_faults_change_no_selection_and_leave_no_process() -> None:
    outcome = run_chaos(ONE_EACH, 600.0, Record(None))
    assert len(outcome.hits) == len(KINDS) + 3
    assert (outcome.different, outcome.left, outcome.repairs["hung"]) == (0, [], 0)
    assert outcome.repairs["coordinator"] >= 2


def test_the_same_seed_gives_the_same_bursts_of_faults() -> None:
    bursts = schedule(200, seed=3)
    assert bursts == schedule(200, seed=3)
    assert bursts != schedule(200, seed=4)
    assert Counter(burst.where for burst in bursts for _ in burst.faults) == {
        "sampler": 150,
        "service": 30,
        "start": 20,
    }
    assert Counter(fault.kind for burst in bursts for fault in burst.faults)["scorer"] > 100
    assert [len(burst.faults) for burst in bursts[:9]] == [1, 1, 2, 1, 1, 3, 1, 4, 1]


def test_an_interrupted_run_finds_its_record_again(tmp_path: Path) -> None:
    path, found = tmp_path / "chaos.jsonl", Outcome(rounds=2, repairs=Counter(retries=3))
    Record(path).add(7, found)
    Record(path).add(7, Outcome(left=["a process"]))
    assert Record(path).outcomes == {7: found + Outcome(left=["a process"])}
