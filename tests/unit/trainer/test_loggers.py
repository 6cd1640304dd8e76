"""Loggers: what they get, that none can end a run, and that a resumed run goes on without a step twice."""

import logging
import re
import resource
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from negsift.common.errors import BadInput, Interrupted
from negsift.deploy.fit import check_fit
from negsift.deploy.recipes import digits
from negsift.deploy.run import Runner
from negsift.deploy.run_config import RunConfig
from negsift.trainer.config import LOGGERS, LogConfig
from negsift.trainer.folder import RunFolder
from negsift.trainer.loggers.logger import Logger, RunLoggers, numbers
from negsift.trainer.loggers.make import make_loggers
from negsift.trainer.loggers.tensorboard import TensorBoardLogger


@dataclass
class Notes:
    """A logger that notes steps and values, and fails or is interrupted at some steps."""

    failing: tuple[int, ...] = ()
    interrupted_at: int = -1
    steps: list[int] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    closed: int = 0

    def log(self, values: Mapping[str, float], step: int) -> None:
        if step == self.interrupted_at:
            raise KeyboardInterrupt
        self.steps.append(step)
        if step in self.failing:
            raise ConnectionError("server gone,\nas it seems")
        self.values |= values

    def close(self) -> None:
        self.closed += 1


def short(epochs: int = 2, **log: Any) -> RunConfig:  # Any: LogConfig's own
    config = digits()
    return replace(config, training=replace(config.training, epochs=epochs), log=LogConfig(**log))


def scalars(folder: Path) -> list[tuple[int, str, float]]:
    """The scalars in event files: records of a length, its checksum, an event and the event's checksum."""
    from tensorboardX.proto.event_pb2 import Event

    def events(content: bytes) -> Iterator[Event]:
        while content:
            (size,) = struct.unpack("<Q", content[:8])
            yield Event.FromString(content[12 : 12 + size])
            content = content[12 + size + 4 :]

    found = (event for path in sorted(folder.iterdir()) for event in events(path.read_bytes()))
    return [(event.step, value.tag, value.simple_value) for event in found for value in event.summary.value]


def test_a_record_becomes_its_finite_numbers_by_dotted_name() -> None:
    record = {"loss": 1, "val": {"ap": 0.5, "roc_auc": float("nan")}, "fresh": True, "overlap": None, "name": "x"}
    assert numbers(record) == {"loss": 1.0, "val.ap": 0.5, "fresh": 1.0}


def test_a_run_logs_each_epoch_once_and_its_test_at_the_end(tmp_path: Path) -> None:
    notes = Notes()
    with Runner() as runner:
        summary = runner.run(short(2), tmp_path / "run", (notes,))
    assert notes.steps == [0, 1, 2]
    assert notes.values["test.ap"] == summary["test"]["ap"]
    assert {"loss", "val.ap", "val.roc_auc", "seconds.total", "chosen", "scored", "coverage"} <= notes.values.keys()
    assert notes.closed == 1


def test_a_resumed_run_logs_its_earlier_epochs_again(tmp_path: Path) -> None:
    stopped, notes = Notes(interrupted_at=1), Notes()
    with Runner() as runner, pytest.raises(Interrupted, match="2 epochs are saved"):
        runner.run(short(3), tmp_path / "run", (stopped,))
    with Runner() as runner:
        runner.run(short(3), tmp_path / "run", (notes,))
    assert (stopped.steps, stopped.closed) == ([0], 1)
    assert notes.steps == [0, 1, 2, 3]


def test_a_logger_that_fails_is_told_once_and_counted_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Notes(failing=(0, 2)), Notes()
    with Runner() as runner, caplog.at_level(logging.WARNING, "negsift.trainer.loggers.logger"):
        summary = runner.run(short(2), tmp_path / "run", (bad, good))
    assert [record.getMessage() for record in caplog.records] == [
        "Notes failed (ConnectionError: server gone, as it seems); the run goes on"
    ]
    assert summary["failed_loggers"] == {"Notes": 2}
    assert good.steps == bad.steps == [0, 1, 2]


def test_a_logger_that_fails_three_times_in_a_row_is_asked_no_more() -> None:
    gone = Notes(failing=(1, 3, 4, 5, 6, 7))
    loggers = RunLoggers([gone])
    for step in range(8):
        loggers.log({"loss": 1.0}, step)
    assert gone.steps == [0, 1, 2, 3, 4, 5]
    assert loggers.failed == {"Notes": 4}


def test_event_files_hold_every_number_at_its_step(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path)
    for step in range(3):
        logger.log({"val.ap": step / 4, "seconds.total": 2.0}, step)
    logger.close()
    assert scalars(tmp_path) == [
        point for step in range(3) for point in ((step, "val.ap", step / 4), (step, "seconds.total", 2.0))
    ]


def test_event_files_on_a_full_disk_are_an_error_at_once(tmp_path: Path) -> None:
    logger, before = TensorBoardLogger(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    logger.log({"loss": 1.0}, 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            logger.log({f"loss.{name}": 1.0 for name in range(50)}, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    logger.close()


def log_all(loggers: tuple[Logger, ...], steps: range) -> None:
    """Without the net of `RunLoggers`."""
    for logger in loggers:
        for step in steps:
            logger.log({"val.ap": step / 4, "epoch": float(step)}, step)
        logger.close()


def resumed(name: str, folder: Path) -> None:
    """A run of two epochs that is stopped, and resumed to its third and last."""
    config = LogConfig(to=(name,), project="toys")
    for steps in (range(2), range(3), range(3)):
        log_all(make_loggers(config, RunFolder(folder), {"seed": 1, "data": {"root": None}}), steps)


def test_tensorboard_shows_each_step_of_a_resumed_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    seconds = iter(range(1_000_000_000, 1_000_000_100))  # an event file is named by the second of its start
    monkeypatch.setattr("tensorboardX.event_file_writer.time.time", lambda: next(seconds))
    resumed("tensorboard", tmp_path)
    shown = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 3
    assert [(event.step, event.value) for event in shown.Scalars("val.ap")] == [(0, 0.0), (1, 0.25), (2, 0.5)]


def test_mlflow_goes_on_with_the_same_run_and_no_step_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "server").as_uri())
    resumed("mlflow", tmp_path / "run")
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("toys").experiment_id])
    assert [point.step for point in client.get_metric_history(run.info.run_id, "val.ap")] == [0, 1, 2]
    assert (run.info.run_name, run.info.status, run.data.params) == (
        "run",
        "FINISHED",
        {"seed": "1", "data.root": "null"},
    )


def test_trackio_goes_on_with_the_same_run_and_no_step_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    resumed("trackio", tmp_path / "run")
    assert [entry["step"] for entry in SQLiteStorage.get_logs("toys", SQLiteStorage.get_runs("toys")[0])] == [0, 1, 2]


def test_wandb_writes_each_start_of_a_run_under_one_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    resumed("wandb", tmp_path / "run")
    identity = RunFolder(tmp_path / "run").read_json("loggers.json")
    assert identity is not None
    files = [path.name for path in (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")]
    assert set(files) == {f"run-{identity['id']}.wandb"}


def test_a_logger_that_is_unknown_or_not_installed_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="log.to 'mlfow'; expected one of .*did you mean 'mlflow'"):
        LogConfig(to=("tensorboard", "mlfow"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in LOGGERS:
        with pytest.raises(BadInput, match=rf"found log\.to={name} without .*pip install 'negsift\[{name}\]'"):
            check_fit(short(to=(name,)))


def test_the_names_of_event_files_can_not_be_guessed(tmp_path: Path) -> None:
    for _ in range(2):
        logger = TensorBoardLogger(tmp_path / "tensorboard")
        logger.log({"loss": 1.0}, 0)
        logger.close()
    ends = {path.name.rpartition(".")[2] for path in (tmp_path / "tensorboard").iterdir()}
    assert len(ends) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", end) for end in ends)
