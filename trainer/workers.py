"""Trains a run with several workers of Ray Train, which are restarted when one of them is lost.

They save what a single worker saves, in the same folder, which all of their nodes must see; so either kind of run
can resume the other. When a worker is lost, all of them are started again, and they resume after the last saved epoch.
"""

import functools
import logging
import os
import pickle
import shutil
import signal
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import Any, Self

import ray
import torch
from ray.train.torch import TorchConfig
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import ControllerError, TrainingFailedError
from ray.train.v2.api.result import Result
from ray.train.v2.torch.torch_trainer import TorchTrainer
from ray.util.queue import Queue

from negsift.common.environment import unchanged_environment
from negsift.common.errors import Interrupted, ServiceError
from negsift.common.unfinished import replacing
from negsift.trainer.fit import fit
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.group_release import GroupRelease
from negsift.trainer.run_spec import RunSpec, TrainerConfig
from negsift.trainer.trainer import Trainer
from negsift.trainer.worker_group import TorchWorkerGroup

log = logging.getLogger(__name__)
_RESTARTS = 3
"""The run fails when workers are lost once more than this, whatever they were doing."""
_LINE = 120
_WAIT_S = 24 * 3600
"""How long the other ranks wait for rank 0 to select or validate. Ray notices its loss by itself."""
Job = tuple[RunSpec, TrainerConfig, int]
"""A run, its trainer's configuration and its seed."""


@dataclass(frozen=True)
class ScratchFolder:
    """A folder for Ray Train's own files and a worker's error, which all workers see; it is removed at the end."""

    path: Path

    @property
    def error(self) -> Exception | None:
        """The error that a worker recorded, if any."""
        file = self.path / "error"
        error: Exception | None = pickle.loads(file.read_bytes()) if file.exists() else None
        return error

    def record(self, error: Exception) -> None:
        """Write down an error that a restart would repeat.

        Ignored are other RuntimeErrors than lack of GPU memory, which torch raises when another worker is lost, and all
        errors once Ray Train has dissolved the group for that: torch then raises ValueErrors and others.
        """
        lost = isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError)
        if lost or not torch.distributed.is_initialized():
            return
        error.add_note("".join(traceback.format_exception(error)))
        with replacing(self.path / "error") as stream:
            pickle.dump(error, stream)

    def __enter__(self) -> Self:
        shutil.rmtree(self.path, ignore_errors=True)  # left behind by a run that was killed
        self.path.mkdir(mode=0o700, parents=True)  # the error in it is pickled
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def train_together(
    spec: RunSpec, config: TrainerConfig, seed: int, each: Mapping[str, float], start_s: float = 300.0
) -> Json:
    """Train with `config.training.workers` workers to the end, or resume, and return the run's summary.

    Each worker has `each` of the cluster, CPUs and GPUs. Exceptions of a worker are raised unchanged. Raises
    ServiceError after too many losses or where workers have no room for `start_s` seconds, Interrupted on Ctrl-C.
    """
    folder = RunFolder(spec.folder.path.resolve())  # workers have other working directories
    scaling = ScalingConfig(
        num_workers=config.training.workers, use_gpu=bool(each.get("GPU")), resources_per_worker=dict(each)
    )
    with ScratchFolder(folder.path / ".train") as scratch, _log_queue() as lines, _restored_ctrl_c():
        # In a list, so that Ray does not fetch the value wherever the reference passes.
        job: Sequence[ray.ObjectRef[Job]] = [ray.put((replace(spec, folder=folder), config, seed))]
        work = functools.partial(_work, scratch, job, lines)
        try:
            with unchanged_environment():
                os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # Ray Train's default is 2 s
                # One more process a group; the restarts are ours. Ray logs as an error that it can't be restarted.
                os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
                os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(start_s)
                return fit_with_restarts(work, scaling, scratch)
        except SystemExit:  # Ray Train turns Ctrl-C into this, after it has stopped the workers
            raise Interrupted(_saved(folder)) from None
        except TrainingFailedError as error:
            often = f"trainer workers failed {_RESTARTS + 1} times, at last with: {_last_line(error)}"
            found = f"trainer workers had no room for {start_s:g} s" if _lacked_room(error) else often
            raise ServiceError(found, _saved(folder)) from error


def fit_with_restarts(work: Callable[[], Json], scaling: ScalingConfig, scratch: ScratchFolder) -> Json:
    """What rank 0's work gives in the end; raises what a worker recorded, and the last of too many failures.

    The restarts are ours, since Ray Train has none for a worker that is lost in some parts of the group's start.
    """
    failures = 0
    while True:
        try:
            result = _torch_trainer(work, scaling, scratch, f"workers-{failures}").fit()
        except TrainingFailedError as error:
            failures += 1
            if scratch.error is not None:  # which a restart would only repeat
                raise scratch.error from None
            if failures > _RESTARTS or _lacked_room(error):
                raise
            log.warning("trainer workers failed (%s): restart %d of %d", _last_line(error), failures, _RESTARTS)
        else:
            assert isinstance(result, Result)  # `fit` is typed with an older class of that name
            summary: Json | None = result.return_value
            assert summary is not None  # as `work` returns one
            return summary


def _lacked_room(error: TrainingFailedError) -> bool:
    return isinstance(error, ControllerError) and isinstance(error.controller_failure, WorkerGroupStartupTimeoutError)


def _torch_trainer(work: Callable[[], Json], scaling: ScalingConfig, scratch: ScratchFolder, name: str) -> TorchTrainer:
    callbacks: list[Any] = [GroupRelease()]  # Any: Ray Train takes its inner callbacks, too, but types only the outer
    return TorchTrainer(
        work,
        torch_config=TorchConfig("cpu:gloo,cuda:nccl" if scaling.use_gpu else "gloo", timeout_s=_WAIT_S),
        scaling_config=scaling,
        run_config=RunConfig(
            name=name, storage_path=str(scratch.path), logging_config=LoggingConfig(log_level="ERROR"),
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0), callbacks=callbacks,
        ),
    )  # fmt: skip


def _last_line(error: Exception) -> str:
    return textwrap.shorten(str(error).strip().splitlines()[-1], _LINE, placeholder=" …")


def _work(scratch: ScratchFolder, job: "Sequence[ray.ObjectRef[Job]]", lines: Queue) -> Json:
    """The work of one worker; Ray Train returns rank 0's result."""
    group = TorchWorkerGroup()
    if group.rank == 0:
        logger = logging.getLogger("negsift.trainer")
        logger.setLevel(logging.INFO)
        logger.handlers = [QueueHandler(lines)]
    try:
        spec, config, seed = ray.get(job[0])
        with closing(spec.sampler):
            return fit(Trainer(spec, config, seed, group))
    except Exception as error:
        scratch.record(error)
        raise


def _saved(folder: RunFolder) -> str:
    state = folder.load()
    return folder.saved(0 if state is None else len(state["progress"]["history"]))


class _Relay(logging.Handler):
    """Passes log records of another process to this process's loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


@contextmanager
def _log_queue() -> Iterator[Queue]:
    """A queue whose log records appear in this process's log."""
    lines = Queue(actor_options={"num_cpus": 0})
    listener = QueueListener(lines, _Relay())
    listener.start()
    try:
        yield lines
    finally:
        listener.stop()
        lines.shutdown()


@contextmanager
def _restored_ctrl_c() -> Iterator[None]:
    """Restore the handler of Ctrl-C at the end, which Ray Train replaces by its own."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # in other threads Ray Train replaces nothing
            signal.signal(signal.SIGINT, before)
