"""Series are shown again and again until they are forgotten."""

import threading

import pytest

from negsift.service.monitoring import exporter as module
from tests.unit.service.monitoring.gauges import Noted


def test_a_total_is_shown_as_0_before_anything_is_counted() -> None:
    noted = Noted()
    noted.exporter.add("negsift_rounds_total", task="mine")
    assert noted.shown == [("negsift_rounds_total", {"task": "mine"}, 0.0)]


def test_totals_add_up_and_values_replace_each_other() -> None:
    noted = Noted()
    for value in (2.0, 3.0):
        noted.exporter.add("a_total", value, task="mine")
        noted.exporter.set("a_ratio", value, task="mine")
    assert [value for *_, value in noted.shown] == [2.0, 2.0, 5.0, 3.0]


def test_every_series_is_shown_again_at_each_export() -> None:
    noted = Noted()
    for task in ("mine", "yours"):
        noted.exporter.add("a_total", 1, task=task)
    noted.exporter.set("a_ratio", 0.5, shard="scorer-0")
    first = noted.export()
    assert len(first) == 3
    assert noted.export() == first


def test_series_are_forgotten_by_their_labels() -> None:
    noted = Noted()
    for task in ("mine", "yours"):
        noted.exporter.add("a_total", 1, service="birds", task=task)
    noted.exporter.forget(service="birds", task="mine")
    assert [dict(tags)["task"] for _, tags in noted.export()] == ["yours"]


def test_a_total_that_was_forgotten_begins_at_0_again() -> None:
    noted = Noted()
    noted.exporter.add("a_total", 7, task="mine")
    noted.exporter.forget(task="mine")
    noted.exporter.add("a_total", 1, task="mine")
    assert list(noted.export().values()) == [1.0]


def test_sources_set_their_values_at_each_export() -> None:
    noted, values = Noted(), iter((1.0, 2.0))
    noted.exporter.watch(lambda: noted.exporter.set("a_bytes", next(values)))
    assert [list(noted.export().values()) for _ in range(2)] == [[1.0], [2.0]]


def test_a_started_exporter_shows_its_series_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.001)
    noted, exported = Noted(), threading.Event()
    noted.exporter.watch(exported.set)
    noted.exporter.start()
    assert exported.wait(60)
    noted.exporter.stop()
    assert not noted.exporter.values()
