"""Recovery counts that outlive a coordinator, with a dictionary in the place of Ray's store."""

import pytest

from negsift.common.account import RecoveryCounts
from negsift.service.fleet.recovery_ledger import Incarnation, RecoveryLedger

RETRY, RESTART = RecoveryCounts(retries=1), RecoveryCounts(restarts=1)


def test_a_repeated_round_goes_on_counting_and_another_one_begins_anew() -> None:
    records: dict[str, bytes] = {}
    for _ in range(3):
        ledger = RecoveryLedger(records)
        ledger.begin("first")
        ledger.add(RETRY)
    assert ledger.counts == RecoveryCounts(retries=3)
    ledger.begin("second")
    assert ledger.counts == RecoveryCounts()
    ledger.begin("first")
    assert ledger.counts == RecoveryCounts(retries=3)


def test_a_restart_is_counted_in_one_round_only_by_whichever_coordinator() -> None:
    records: dict[str, bytes] = {}
    found = []
    for name, restarts in [("a", 0), ("b", 2), ("b", 2), ("c", 2), ("d", 3)]:
        ledger = RecoveryLedger(records)
        ledger.begin(name)
        ledger.meet(Incarnation("scorer", restarts))
        found.append(ledger.counts.restarts)
    assert found == [0, 2, 2, 0, 1]


def test_restarts_of_the_coordinator_are_counted_apart() -> None:
    ledger = RecoveryLedger({})
    ledger.begin("round")
    ledger.meet(Incarnation("coordinator", 2), "coordinator")
    ledger.meet(Incarnation("scorer", 1))
    assert ledger.counts == RecoveryCounts(restarts=1, coordinator=2)


@pytest.mark.parametrize("counts", [RecoveryCounts(), RETRY])
def test_undisturbed_rounds_write_nothing(counts: RecoveryCounts) -> None:
    records: dict[str, bytes] = {}
    ledger = RecoveryLedger(records)
    ledger.begin("round")
    ledger.meet(Incarnation("scorer", 0))
    ledger.add(counts)
    assert bool(records) == counts.any


def test_only_the_last_rounds_are_kept() -> None:
    records: dict[str, bytes] = {}
    ledger = RecoveryLedger(records)
    for number in range(100):
        ledger.begin(f"round {number}")
        ledger.add(RESTART)
    sizes = len(records["recovery"])
    assert sizes < 4000
    ledger.begin("round 99")
    assert ledger.counts == RESTART
