"""A run trained by several workers of Ray Train: started, heard, and started anew where one dies.

They keep what a single worker keeps, in the same folder, which all of their nodes must see; so either goes on
with what the other began. When one is lost Ray Train starts all anew, and they go on after the last epoch saved.
"""

import functools
import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from logging.handlers import QueueHandler, QueueListener
from typing import Any

import ray
from ray.train.torch import TorchConfig
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import TrainingFailedError
from ray.train.v2.torch.torch_trainer import TorchTrainer
from ray.util.queue import Queue

from negsift.common.errors import Interrupted, ServiceError
from negsift.trainer.fit import fit
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.run_spec import RunSpec
from negsift.trainer.scratch_folder import ScratchFolder
from negsift.trainer.team import TorchTeam
from negsift.trainer.trainer import Schedule

_LOSSES = 3
"""So many times workers may be lost, or not find the room they are promised."""
_PATIENCE_S = 24 * 3600
"""So long the others wait for rank 0 to select and to validate; if it is lost meanwhile, Ray notices."""


def train_together(kit: RunSpec, schedule: Schedule, seed: int) -> Json:
    """Train with `schedule.training.workers` workers to the end, or on from where the run stopped; its summary.

    Each has a CPU of the cluster, and a GPU if there are any. Raises what goes wrong in them as itself,
    ServiceError once too many were lost, Interrupted on Ctrl-C.
    """
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # else Ray Train sees every 2 s what happened
    folder = RunFolder(kit.folder.path.resolve())  # workers are started in places of their own
    with ScratchFolder(folder.path / ".train") as place, _heard() as lines, _ctrl_c_as_before():
        held = [ray.put((replace(kit, folder=folder), schedule, seed))]
        work = functools.partial(_work, place, held, lines)
        try:
            result = _on_ray_train(work, schedule.training.workers, place).fit()
        except SystemExit:  # Ray Train's answer to Ctrl-C, after it has ended the workers
            raise Interrupted(folder.saved(_epochs(folder))) from None
        except TrainingFailedError as error:
            reason = str(error).strip().splitlines()[-1]
            saved = folder.saved(_epochs(folder))
            raise ServiceError(f"trainer workers failed {_LOSSES + 1} times, at last with: {reason}", saved) from error
        if place.error is not None:
            raise place.error
    summary: Json = result.return_value  # type: ignore[attr-defined]  # `fit` is typed as Ray Train's before V2
    return summary


def _on_ray_train(work: Any, workers: int, place: ScratchFolder) -> TorchTrainer:  # Any: a function without arguments
    has_gpus = ray.cluster_resources().get("GPU", 0.0) > 0  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    return TorchTrainer(
        work,
        torch_config=TorchConfig("cpu:gloo,cuda:nccl" if has_gpus else "gloo", timeout_s=_PATIENCE_S),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=has_gpus),
        run_config=RunConfig(
            name="workers", storage_path=str(place.path), logging_config=LoggingConfig(log_level="ERROR"),
            failure_config=FailureConfig(max_failures=_LOSSES, controller_failure_limit=_LOSSES),
        ),
    )  # fmt: skip


def _work(place: ScratchFolder, held: Sequence[Any], lines: Queue) -> Json | None:  # Any: ray.ObjectRef
    """What a worker does; rank 0's answer is the run's."""
    if place.error is not None:  # Ray Train starts workers anew, whatever they failed with
        return None
    team = TorchTeam()
    if team.rank == 0:
        ours = logging.getLogger("trainer")
        ours.setLevel(logging.INFO)
        ours.handlers = [QueueHandler(lines)]
    try:
        kit, schedule, seed = ray.get(held[0])
        return fit(kit.trainer(schedule, seed, team))
    except Exception as error:
        place.fail(error)
        raise


def _epochs(folder: RunFolder) -> int:
    state = folder.load()
    return 0 if state is None else len(state["progress"]["history"])


class _Relay(logging.Handler):
    """Gives records of another process to this one's loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


@contextmanager
def _heard() -> Iterator[Queue]:
    """A queue whose log records are this program's own."""
    lines = Queue(actor_options={"num_cpus": 0})
    listener = QueueListener(lines, _Relay())
    listener.start()
    try:
        yield lines
    finally:
        listener.stop()
        lines.shutdown()


@contextmanager
def _ctrl_c_as_before() -> Iterator[None]:
    """Ray Train leaves its own handler of Ctrl-C behind."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # elsewhere Ray Train leaves it alone
            signal.signal(signal.SIGINT, before)
