"""The log as JSON: an object a line, with the facts of a record in it."""

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from negsift.common.errors import BadInput
from negsift.deploy.json_lines import JsonLines
from negsift.deploy.recipes import digits
from negsift.deploy.run import Runner
from negsift.trainer.config import LogConfig


def line(message: str, *words: object, **more: Any) -> dict[str, Any]:  # Any: a record's attributes, JSON
    """A record as the formatter writes it."""
    record = logging.LogRecord("negsift.there", logging.INFO, "file", 1, message, words, more.pop("error", None))
    record.__dict__.update(more)
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    return found


def test_a_line_says_when_who_and_what() -> None:
    found = line("%d of\n%s", 3, "four")
    assert (found["level"], found["logger"], found["message"]) == ("INFO", "negsift.there", "3 of\nfour")
    assert found["time"].endswith("+00:00")


def test_facts_of_a_record_are_keys_of_the_line_and_nan_is_null() -> None:
    found = line("a round", negsift={"event": "round", "k": 4, "ap": float("nan"), "at": Path("x")})
    assert (found["event"], found["k"], found["ap"], found["at"]) == ("round", 4, None, "x")


def test_a_traceback_is_within_its_line() -> None:
    try:
        raise ValueError("so")
    except ValueError:
        assert "ValueError: so" in line("failed", error=sys.exc_info())["traceback"]


def test_every_epoch_is_an_event_with_run_version_k_and_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = digits()
    with caplog.at_level(logging.INFO), Runner() as runner:
        runner.run(replace(config, training=replace(config.training, epochs=2)), tmp_path / "mine")
    facts = [record.negsift for record in caplog.records if hasattr(record, "negsift")]
    assert [(each["event"], each["run"], each["epoch"], each["version"]) for each in facts] == [
        ("epoch", "mine", 0, 0), ("epoch", "mine", 1, 1),
    ]  # fmt: skip
    assert all({"select", "train", "evaluate", "score", "total"} <= each["seconds"].keys() for each in facts)
    assert facts[0]["k"] == facts[0]["chosen"]


def test_other_formats_are_refused() -> None:
    with pytest.raises(BadInput, match="found log.format 'jsn'; expected one of json, text; did you mean 'json'"):
        LogConfig(format="jsn")
