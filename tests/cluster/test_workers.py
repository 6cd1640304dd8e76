"""Several trainer workers: the run of a single one, also when one of them is killed."""

import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from ray import cloudpickle
from ray.train.v2.api.config import ScalingConfig
from ray.train.v2.api.exceptions import WorkerGroupError
from torch import distributed

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagSet
from negsift.common.data.catalogue import load_split
from negsift.common.data.config import DataConfig
from negsift.common.errors import ServiceError
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.deploy.main import main
from negsift.deploy.workers import trained
from negsift.service import NegativeSampler
from negsift.service.cluster.reservation import Reservation
from negsift.service.config import FleetConfig
from negsift.trainer import workers
from negsift.trainer.config import AugmentConfig, SamplingConfig, TrainingConfig
from negsift.trainer.fit import fit
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.run_spec import RunSpec, TrainerConfig
from negsift.trainer.trainer import Trainer
from negsift.trainer.workers import ScratchFolder, fit_with_restarts, train_together
from tests.cluster.moments import die_once, is_first
from tests.cluster.serving import LIMIT_S, all_cpus_taken, await_line, outside, program

pytestmark = pytest.mark.usefixtures("local_ray")
EACH = {"CPU": 1.0}
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@dataclass(frozen=True)
class Watched(BagSet):
    """A pool that calls `happens` in every trainer worker, with its rank, before it gives an epoch's negatives
    (`subset`), or before rank 0 writes them (`bag_id`).
    """

    happens: Callable[[int], None] = abs
    where: str = "subset"

    def subset(self, index: Index) -> BagSet:
        self._call("subset")
        return super().subset(index)

    def bag_id(self, index: Index) -> list[str]:
        self._call("bag_id")
        return super().bag_id(index)

    def _call(self, where: str) -> None:
        if where == self.where and distributed.is_initialized():
            self.happens(distributed.get_rank())


def run_spec(  # Any: NegativeSampler's
    folder: Path, happens: Callable[[int], None], where: str = "subset", **fleet: Any
) -> RunSpec:
    split = load_split(DataConfig(bag_size=3, target="8"))
    assert isinstance(split.pool, BagSet)
    pool = Watched(*(getattr(split.pool, field.name) for field in fields(split.pool)), happens=happens, where=where)
    model = make_model(ModelConfig(), split.pool.instances.images.shape[1:], seed=3)
    sampler = NegativeSampler(
        pool, model, strategy="entropy", k=101, positives=split.positives, random_rounds=1, **fleet
    )
    return RunSpec(replace(split, pool=pool), model, sampler, RunFolder(folder), {})


def schedule(workers: int) -> TrainerConfig:
    training = TrainingConfig(epochs=3, batch=16, workers=workers)
    return TrainerConfig(training, SamplingConfig(), AugmentConfig())


def picks(folder: Path) -> list[list[int]]:
    return [pq.read_table(path)["index"].to_pylist() for path in sorted(folder.glob("selections/*.parquet"))]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Json]:
    """What one worker does."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    spec = run_spec(folder, abs, shards=1)
    with spec.sampler:  # type: ignore[attr-defined]  # a NegativeSampler
        return folder, fit(Trainer(spec, schedule(1), 5))


@dataclass(frozen=True)
class LossInTheSecondEpoch:
    """One of two workers is killed, once; with `late` the other one goes on until Ray Train has dissolved the group."""

    folder: Path
    late: bool

    @property
    def marker(self) -> Path:
        return self.folder.with_name("died")

    def __call__(self, rank: int) -> None:
        if not (self.folder / "metrics.jsonl").exists():
            return
        if rank == 1:
            die_once(self.marker)
        elif self.late and is_first(self.folder.with_name("waited")):
            until = time.monotonic() + LIMIT_S
            while distributed.is_initialized() and time.monotonic() < until:
                pass  # without a pause: this process is ended a moment later


@pytest.mark.parametrize(("where", "late"), [("bag_id", True), pytest.param("subset", False, marks=pytest.mark.slow)])
def test_two_workers_give_the_run_of_one_though_one_is_killed(
    where: str, late: bool, alone: tuple[Path, Json], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    happens = LossInTheSecondEpoch(folder, late)

    options = FleetConfig(cpus_per_shard=0.5)
    spec = run_spec(folder, happens, where, shards=2, fleet="ray", options=options)
    with spec.sampler:  # type: ignore[attr-defined]  # a NegativeSampler
        found = train_together(spec, schedule(2), 5, EACH)
    assert happens.marker.exists()
    assert picks(folder) == picks(alone[0])
    for part in ("val", "test", "last"):
        assert found[part] == pytest.approx(alone[1][part], rel=1e-3)
    one, other = (RunFolder(each).load() for each in (alone[0], folder))
    assert one is not None
    assert other is not None
    for name, value in one["learner"]["model"].items():
        torch.testing.assert_close(other["learner"]["model"][name], value, rtol=1e-3, atol=1e-4)
    assert {path.name for path in folder.iterdir()} == {path.name for path in alone[0].iterdir()}


@dataclass(frozen=True)
class Arriving:
    """Work that kills the first worker which it arrives at, before that has said anything."""

    marker: Path

    def __call__(self) -> Json:
        return {"done": distributed.get_world_size()}

    def __setstate__(self, state: dict[str, Any]) -> None:  # Any: the pickle protocol
        self.__dict__.update(state)
        die_once(self.marker)


@pytest.mark.slow
def test_a_worker_killed_while_the_group_starts_is_restarted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ScratchFolder(tmp_path / "scratch") as scratch:
        assert fit_with_restarts(
            Arriving(tmp_path / "died"), ScalingConfig(num_workers=2, resources_per_worker=EACH), scratch
        ) == {"done": 2}
    assert (tmp_path / "died").exists()
    assert "restart 1 of 3" in caplog.text
    with all_cpus_taken():  # so both groups have given back their room
        pass


class Lost:
    """A trainer whose workers are lost each time."""

    def fit(self) -> None:
        raise WorkerGroupError("a worker is lost", {})


@pytest.mark.slow
def test_workers_lost_again_and_again_are_started_four_times_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = list[str]()
    monkeypatch.setattr(workers, "_torch_trainer", lambda *given: started.append(given[-1]) or Lost())
    with ScratchFolder(tmp_path / "scratch") as scratch, pytest.raises(WorkerGroupError):
        fit_with_restarts(dict, ScalingConfig(num_workers=2), scratch)
    assert started == ["workers-0", "workers-1", "workers-2", "workers-3"]


def test_workers_without_room_say_so_and_end_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = run_spec(tmp_path / "run", abs, shards=1, fleet="ray", options=FleetConfig(cpus_per_shard=0.0))
    with spec.sampler, all_cpus_taken(), pytest.raises(ServiceError) as found:  # type: ignore[attr-defined]  # as below
        trained(spec, schedule(2), 5, Reservation(2, EACH), 6.0)
    assert "2 trainer workers wait for 1 CPU each; the cluster has 0 CPU" in caplog.text
    assert str(found.value).startswith("trainer workers had no room for 6 s; ")


@pytest.mark.slow
def test_a_bug_in_one_worker_is_raised_unchanged_at_once(tmp_path: Path) -> None:
    def happens(rank: int) -> None:
        if rank == 1:
            raise KeyError("a bug of the user's")

    spec = run_spec(tmp_path / "run", happens, shards=1, fleet="ray", options=FleetConfig(cpus_per_shard=0.5))
    with spec.sampler, pytest.raises(KeyError, match="a bug of the user's"):  # type: ignore[attr-defined]  # as above
        train_together(spec, schedule(2), 5, EACH)
    assert not (tmp_path / "run" / ".train").exists()


@pytest.mark.slow
def test_one_worker_continues_what_two_workers_began(tmp_path: Path) -> None:
    words = ["train", "digits", "--set", "training.epochs=25", "--set", "strategy.name=entropy"]
    alone = {key: value for key, value in outside().items() if key != "RAY_ADDRESS"}
    begun = [*words, "--set", "training.workers=2", "--out", str(tmp_path / "run")]
    running = program("-m", "deploy", *begun, env=alone)
    await_line(running, "epoch  1")
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=LIMIT_S)
    assert running.returncode == 130
    assert re.fullmatch(r"negsift: interrupted; \d+ epochs are saved in .*; the same command resumes the run\n", error)
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    assert picks(tmp_path / "run")[:2] == picks(tmp_path / "whole")[:2]
    one, other = (RunFolder(tmp_path / name).summary for name in ("run", "whole"))
    assert one is not None
    assert other is not None
    assert one["epochs_run"] == other["epochs_run"] == 25
    assert one["last"]["ap"] == pytest.approx(other["last"]["ap"], abs=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.workers=0", "training.workers=0; expected 1 or more"),
        ("training.workers=99", "training.workers=99 on a cluster with 4 CPU; expected at most one worker a CPU"),
        ("fleet.kind=local", "fleet.kind=local with training.workers=2"),
        ("fleet.cpus_per_shard=2", "2 scorers of 2 CPU each on a cluster with 2 for them"),
    ],
)
def test_impossible_workers_are_one_clear_line(
    change: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["training.workers=2", "fleet.shards=2", change]
    words = [word for setting in settings for word in ("--set", setting)]
    assert main(["train", "digits", *words, "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "run").exists()
