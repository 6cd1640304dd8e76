"""A service's telemetry, without a cluster: a line a round, and meters that Ray takes."""

import logging
import re

import numpy as np
import pytest
from ray.util.metrics import Counter

from negsift.common.account import Account, RecoveryCounts
from negsift.common.errors import BadInput
from negsift.common.types import Selection
from negsift.service.monitoring.metrics import COUNTERS, GAUGES, ServiceMetrics
from negsift.service.monitoring.round_stats import Lags, RoundStats


def test_a_round_is_one_line_of_names_and_values(caplog: pytest.LogCaptureFixture) -> None:
    picked, account = np.arange(4), Account(scored=100, seconds={"score": 0.5}, pool_version=3)
    selection, history = Selection(picked, np.ones(4), np.ones(4), 6, account=account), RoundStats()
    history.add(selection, 7, 40, Lags(0.25, 0.5))
    with caplog.at_level(logging.INFO):
        ServiceMetrics("birds").round("mine", selection, history)
    assert caplog.messages == [
        "round service=birds task=mine epoch=7 k=4 scored=100 weights_version=6 staleness=1 wait_seconds=0.25 "
        "publish_lag_seconds=0.5 selection_overlap=0 pool_coverage=0.1 pool_version=3"
    ]
    assert caplog.records[0].negsift["epoch"] == 7


def test_an_error_is_one_line_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        ServiceMetrics("birds").failed("mine", BadInput("that", "this", "do\nso"))
    assert caplog.messages == [
        'round-failed service=birds task=mine kind=BadInput error="found that; expected this; do so"'
    ]


@pytest.mark.parametrize("name", [*COUNTERS, *GAUGES])
def test_names_are_such_that_prometheus_takes_them(name: str) -> None:
    assert re.fullmatch(r"negsift_[a-z_]+", name)
    assert not name.endswith("_total")  # Ray appends it


def test_recoveries_are_counted_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = dict[tuple[str, ...], float]()

    def inc(counter: Counter, value: float, tags: dict[str, str]) -> None:
        if "kind" in tags:
            counted[counter.info["name"], tags["kind"]] = value

    monkeypatch.setattr(Counter, "inc", inc)
    repairs, picked, history = RecoveryCounts(retries=3, restarts=2, moved=1), np.arange(4), RoundStats()
    selection = Selection(picked, np.ones(4), np.ones(4), 6, account=Account(recovery=repairs))
    history.add(selection, 7, 40, Lags())
    ServiceMetrics("birds").round("mine", selection, history)
    name = "negsift_repaired_shards"
    assert counted == {(name, "restarts"): 2, (name, "moved"): 1}
