"""A service's metrics and its log: a line a round, totals from 0, tasks that end."""

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pytest

from negsift.common.account import Account, RecoveryCounts
from negsift.common.errors import BadInput, BadWeights, ServiceError
from negsift.common.types import Selection
from negsift.service.monitoring.catalogue import METRICS
from negsift.service.monitoring.live_task import IDLE_S
from negsift.service.monitoring.metrics import ServiceMetrics, strategy_name
from negsift.service.monitoring.round_stats import Lags, RoundStats
from negsift.service.monitoring.shard_metrics import ShardMetrics
from negsift.service.strategies import STRATEGIES
from negsift.service.strategies.entropy import Entropy
from negsift.service.strategies.margin import Margin
from tests.unit.service.monitoring.gauges import Noted


@dataclass
class World:
    """A clock that is set by hand, and programs that end when they are told to."""

    now: float = 0.0
    ended: set[str] = field(default_factory=set)

    def clock(self) -> float:
        return self.now

    def ended_of(self, programs: Collection[str]) -> set[str]:
        return self.ended & set(programs)


def begun(staleness: int | None = None) -> tuple[Noted, ServiceMetrics, World]:
    """The metrics of the service birds, with the task mine."""
    noted, world = Noted(), World()
    metrics = ServiceMetrics("birds", noted.exporter, world.ended_of, world.clock)
    metrics.begin("mine", Entropy(), staleness)
    return noted, metrics, world


def round_for(metrics: ServiceMetrics, program: str | None, task: str = "mine") -> None:
    """A round of a task that a program has asked for."""
    with metrics.under_way(task, Entropy(), None, program):
        pass


def shown(noted: Noted) -> set[str]:
    """The tasks that are shown."""
    return {task for _, labels in noted.export() if (task := dict(labels).get("task"))}


def finish(metrics: ServiceMetrics, account: Account, epoch: int = 7) -> None:
    """A round of the task mine."""
    selection, stats = Selection(np.arange(4), np.ones(4), np.ones(4), epoch - 1, account=account), RoundStats()
    stats.add(selection, epoch, 40, Lags(0.25, 0.5))
    metrics.round("mine", selection, stats)


def test_a_round_is_one_line_of_names_and_values(caplog: pytest.LogCaptureFixture) -> None:
    _, metrics, _ = begun()
    with caplog.at_level(logging.INFO):
        finish(metrics, Account(scored=100, seconds={"score": 0.5}, pool_version=3))
    assert caplog.messages == [
        "round service=birds task=mine k=4 scored=100 epoch=7 weights_version=6 staleness_epochs=1 wait_seconds=0.25 "
        "publish_lag_seconds=0.5 selection_overlap_ratio=0 pool_coverage_ratio=0.1 pool_version=3 score_seconds=0.5"
    ]
    assert caplog.records[0].negsift["epoch"] == 7


def test_an_error_is_one_line_too(caplog: pytest.LogCaptureFixture) -> None:
    _, metrics, _ = begun()
    with caplog.at_level(logging.INFO):
        metrics.failed("mine", BadInput("that", "this", "do\nso"))
    assert caplog.messages == [
        'round-failed service=birds task=mine kind=BadInput error="found that; expected this; do so"'
    ]


@pytest.mark.parametrize("name", METRICS)
def test_names_are_prometheuss(name: str) -> None:
    units = "total|seconds|ratio|bytes|epochs|version|epoch|up|loss"
    assert re.fullmatch(rf"negsift_[a-z_]+_({units})|negsift_epoch", name)
    assert len(METRICS[name].labels) <= 4


def test_totals_of_a_task_are_0_before_its_first_round() -> None:
    noted, _, _ = begun()
    totals = {name for name, metric in METRICS.items() if name.endswith("_total") and "service" in metric.labels}
    shown = {name: value for (name, _), value in noted.export().items() if name.endswith("_total")}
    assert shown == dict.fromkeys(totals - {name for name in totals if "shard_" in name}, 0.0)


def test_a_round_adds_no_series_but_those_of_values() -> None:
    noted, metrics, _ = begun(staleness=2)
    before = noted.export().keys()
    finish(metrics, Account(seconds={"score": 0.5, "merge": 0.1}))
    added = noted.export().keys() - before
    assert not any(name.endswith("_total") for name, _ in added)
    finish(metrics, Account(seconds={"prepare": 0.5}), epoch=8)
    assert noted.export().keys() == before | added
    assert len(before | added) == 25 + 1  # a task's, as docs/shared-service.md says, and the service's own


def test_the_limit_of_staleness_is_shown_where_there_is_one() -> None:
    assert begun(staleness=2)[0].total("staleness_limit_epochs") == 2
    with pytest.raises(KeyError):
        begun()[0].total("staleness_limit_epochs")


def test_recoveries_are_counted_by_kind() -> None:
    noted, metrics, _ = begun()
    for _ in range(2):
        finish(metrics, Account(recovery=RecoveryCounts(retries=3, restarts=2, moved=1)))
    counted = {kind: noted.total("repaired_shards_total", kind=kind) for kind in ("restarts", "moved", "hung")}
    assert counted == {"restarts": 4, "moved": 2, "hung": 0}
    assert noted.total("retries_total") == 6


def test_failures_are_counted_by_whose_fault_they_are() -> None:
    noted, metrics, _ = begun()
    for error in (BadWeights("a", "b", "c"), ServiceError("gone", "wait"), ValueError("of a model"), ValueError()):
        metrics.failed("mine", error)
    metrics.failed("unknown", ServiceError("gone", "wait"))
    counted = {kind: noted.total("rounds_failed_total", kind=kind) for kind in ("input", "service", "raised")}
    assert counted == {"input": 1, "service": 1, "raised": 2}
    assert not any(("task", "unknown") in labels for _, labels in noted.export())


def test_a_task_that_ends_takes_its_series_with_it() -> None:
    noted, metrics, _ = begun(staleness=2)
    metrics.begin("yours", Margin(), None)
    finish(metrics, Account())
    metrics.end("mine")
    finish(metrics, Account())  # a round that was under way
    assert shown(noted) == {"yours"}


def test_a_task_lasts_as_long_as_one_of_its_programs_however_long_they_train() -> None:
    noted, metrics, world = begun()
    for program in ("a", "b"):
        round_for(metrics, program)
    world.now, world.ended = 100 * IDLE_S, {"a"}
    assert shown(noted) == {"mine"}
    assert noted.total("tasks_lost_total") == 0
    world.ended |= {"b"}
    noted.export()
    assert not shown(noted)
    assert noted.total("tasks_lost_total") == 1
    assert metrics.lost == {"mine"}


@pytest.mark.parametrize("back", [True, False])
def test_a_task_that_was_lost_is_known_until_a_program_takes_it_up_or_ends_it(back: bool) -> None:
    noted, metrics, world = begun()
    round_for(metrics, "a")
    world.ended = {"a"}
    noted.export()
    assert metrics.lost == {"mine"}
    if back:
        round_for(metrics, "b")
    else:
        metrics.end("mine")
    assert metrics.lost == set()


def test_a_round_under_way_keeps_its_task() -> None:
    noted, metrics, world = begun()
    with metrics.under_way("mine", Entropy(), None, "a"):
        world.now, world.ended = 100 * IDLE_S, {"a"}
        noted.export()
        finish(metrics, Account())
        assert noted.total("rounds_total") == 1
    noted.export()
    assert not shown(noted)


def test_a_program_that_leaves_a_task_leaves_it_to_others() -> None:
    noted, metrics, _ = begun()
    for program in ("a", "b"):
        round_for(metrics, program)
    for program, left in (("c", {"mine"}), ("a", {"mine"}), ("b", set())):
        metrics.leave(program, "mine")
        assert shown(noted) == left
    assert noted.total("tasks_lost_total") == 0


def test_a_program_that_ends_leaves_all_its_tasks() -> None:
    noted, metrics, _ = begun()
    for program, task in (("a", "mine"), ("a", "yours"), ("b", "yours")):
        round_for(metrics, program, task)
    metrics.leave("a")
    assert shown(noted) == {"yours"}


@pytest.mark.parametrize("program", [None, "a"])
def test_a_task_of_no_known_program_is_over_after_minutes_without_a_round(program: str | None) -> None:
    noted, metrics, world = begun()
    world.now = IDLE_S
    round_for(metrics, program, "yours")
    world.now += IDLE_S
    noted.export()
    assert shown(noted) == {"yours"}
    world.now += 1
    noted.export()
    assert shown(noted) == ({"yours"} if program else set())
    assert noted.total("tasks_lost_total") == 0


def test_a_task_with_another_strategy_begins_anew() -> None:
    noted, metrics, _ = begun()
    finish(metrics, Account())
    metrics.begin("mine", Margin(), None)
    assert {dict(labels).get("strategy") for _, labels in noted.export()} == {"margin", None}
    assert noted.total("rounds_total") == 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_have_the_names_of_settings(name: str) -> None:
    assert strategy_name(object.__new__(STRATEGIES[name])) == name


def test_scorers_are_up_or_not() -> None:
    noted, metrics, _ = begun()
    metrics.scorers([True, False])
    assert [noted.total("shard_up", shard=f"scorer-{number}") for number in range(2)] == [1, 0]


def test_a_scorer_counts_what_it_embeds_and_measures_its_memory() -> None:
    noted, embedded = Noted(), iter((100, 164))
    shard = ShardMetrics(noted.exporter, "birds", "scorer-0", lambda: (4096, 512))
    assert noted.total("shard_bags_embedded_total") == 0
    with shard.request(lambda: next(embedded)):
        pass
    assert noted.total("shard_bags_embedded_total", service="birds", shard="scorer-0") == 64
    assert (noted.total("shard_memory_bytes"), noted.total("shard_kept_bytes")) == (4096, 512)
    with pytest.raises(KeyError):
        noted.total("shard_gpu_memory_bytes")  # there is no GPU in use
