"""Scorers that hang, are slow or out of memory; errors of Ray and what they mean: the same picks, or one clear line."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
import ray
import torch
from ray import cloudpickle
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ObjectStoreFullError,
    OutOfMemoryError,
    OwnerDiedError,
    RayError,
    RayTaskError,
)
from torch import Tensor

from negsift.common.account import RecoveryCounts
from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch, BagSet
from negsift.common.errors import ServiceError
from negsift.common.models.bag import BagClassifier
from negsift.common.types import Selection
from negsift.service import NegativeSampler
from negsift.service.cluster.errors import put, reason_to_repeat
from negsift.service.cluster.references import ScorerStatus, SpecRef
from negsift.service.cluster.scorer_factory import ScorerFactory
from negsift.service.cluster.scorer_group import PendingMove, ScorerGroup
from negsift.service.cluster.service import last_moment
from negsift.service.config import FleetConfig
from negsift.service.fleet.rebalance import Move
from negsift.service.fleet.recovery_ledger import Incarnation
from negsift.service.scoring.shard_memory import ShardMemory
from tests.cluster.moments import await_calm, is_first
from tests.cluster.processes import alive
from tests.cluster.serving import eventually
from tests.unit.toys import MeanNet, assert_same, select, vector_model, vectors

K, EPOCH, SEED = 25, 2, 5
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@dataclass(frozen=True)
class SlowBags(BagSet):
    """Bags that the first process to claim the marker does not get for as long as the marker names it."""

    marker: Path = Path()

    def gather(self, index: Index) -> BagBatch:
        if is_first(self.marker):
            self.marker.write_text(str(os.getpid()))
        while self._holder() == str(os.getpid()):
            threading.Event().wait(0.05)
        return super().gather(index)

    def _holder(self) -> str:
        try:
            return self.marker.read_text()
        except FileNotFoundError:
            return ""


def slow_bags(bags: BagSet, marker: Path) -> SlowBags:
    return SlowBags(*(getattr(bags, field.name) for field in fields(bags)), marker=marker)


@pytest.fixture(scope="module")
def sampler(
    bags: tuple[BagSet, BagSet], model: BagClassifier, tmp_path_factory: pytest.TempPathFactory, local_ray: None
) -> Iterator[tuple[NegativeSampler, Path]]:
    """Three scorers, one of which waits whenever the marker is gone, until it names nobody."""
    marker = tmp_path_factory.mktemp("slow") / "who"
    marker.write_text("nobody")
    given = {"k": K, "shards": 3, "positives": bags[1], "fleet": "ray"}
    options = FleetConfig(cache_mb=0, held_mb=0, cpus_per_shard=1.0)
    with NegativeSampler(slow_bags(bags[0], marker), model, options=options, **given) as sampler:
        yield sampler, marker


@pytest.mark.parametrize("name", ["entropy", "badge"])
def test_a_slow_scorers_blocks_are_taken_over_by_idle_ones(
    name: str, sampler: tuple[NegativeSampler, Path], model: BagClassifier, locally: dict[str, Selection]
) -> None:
    await_calm(sampler[0], model.state_dict())
    sampler[1].unlink()
    selection = sampler[0].sibling(name, k=K, seed=SEED).select(model.state_dict(), EPOCH)
    sampler[1].write_text("nobody")
    assert_same(selection, locally[name])
    assert selection.account.recovery.taken_over >= 1


@pytest.mark.usefixtures("local_ray")
def test_a_hung_scorer_without_substitutes_is_restarted(
    bags: tuple[BagSet, BagSet], model: BagClassifier, locally: dict[str, Selection], tmp_path: Path
) -> None:
    pool, options = slow_bags(bags[0], tmp_path / "who"), FleetConfig(call_s=6.0, cpus_per_shard=0.5)
    with NegativeSampler(pool, model, strategy="badge", k=K, seed=SEED, shards=1, fleet="ray", options=options) as one:
        selection = one.select(model.state_dict(), EPOCH)
    assert_same(selection, locally["badge"])
    assert selection.account.recovery.hung >= 1
    assert selection.account.recovery.retries >= 1


@pytest.mark.usefixtures("local_ray")
def test_a_coordinator_stopped_for_longer_than_a_call_may_take_ends_no_scorer(
    bags: tuple[BagSet, BagSet], model: BagClassifier, locally: dict[str, Selection], tmp_path: Path
) -> None:
    marker, options = tmp_path / "who", FleetConfig(call_s=4.0, deadline_s=8.0, cpus_per_shard=0.5)
    pool, given = slow_bags(bags[0], marker), {"strategy": "badge", "k": K, "seed": SEED, "shards": 1}
    before = {actor["Pid"] for actor in alive("coordinator-")}
    with NegativeSampler(pool, model, fleet="ray", options=options, **given) as one:
        pending = one.submit(model.state_dict(), EPOCH)
        assert eventually(lambda: marker.exists() and marker.read_text() != "")
        pid = next(actor["Pid"] for actor in alive("coordinator-") if actor["Pid"] not in before)
        os.kill(pid, signal.SIGSTOP)
        marker.write_text("nobody")
        threading.Event().wait(9.0)
        os.kill(pid, signal.SIGCONT)
        selection = pending.result()
    assert_same(selection, locally["badge"])
    assert selection.account.recovery == RecoveryCounts()


class Hungry(MeanNet):
    """Finds no memory for any batch."""

    def forward(self, bags: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.usefixtures("local_ray")
def test_a_block_that_does_not_fit_is_reported_from_ray_too() -> None:
    model, options = Hungry(), FleetConfig(block=8, cpus_per_shard=0.5)
    with (
        NegativeSampler(
            vectors([3] * 8), model, strategy="entropy", k=3, shards=1, fleet="ray", options=options
        ) as one,
        pytest.raises(ServiceError, match=r"block 0 of the pool \(8 bags\).*lower fleet.block"),
    ):
        one.select(model.state_dict(), 0)


@dataclass(frozen=True)
class Fragile:
    """Bags with a bug in them for as long as the marker is there."""

    bags: Sequence[Tensor]
    marker: Path

    def __len__(self) -> int:
        return len(self.bags)

    def __getitem__(self, position: int) -> Tensor:
        if self.marker.exists():
            raise KeyError("a bug of the user's")
        return self.bags[position]


@pytest.mark.usefixtures("local_ray")
def test_a_bug_on_all_scorers_is_raised_once_and_rounds_continue(tmp_path: Path) -> None:
    marker, bags, model = tmp_path / "bug", vectors([3] * 40), vector_model()
    options = FleetConfig(block=8, cpus_per_shard=0.3)
    with NegativeSampler(
        Fragile(bags, marker), model, strategy="entropy", k=9, shards=2, fleet="ray", options=options
    ) as sampler:
        marker.touch()
        with pytest.raises(KeyError, match="a bug of the user's"):
            sampler.select(model.state_dict(), 0)
        marker.unlink()
        found = sampler.select(model.state_dict(), 0)
    assert_same(found, select(bags, model, "entropy", 9))
    recovery = replace(found.account.recovery, taken_over=0)  # a scorer may still be busy with the bug
    assert recovery == RecoveryCounts()


def never() -> None:
    """A task for which no cluster has room."""


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(("home", "avoided"), [("new", set()), ("old", set()), (None, {"new"})])
def test_a_full_node_is_avoided_for_later_moves(
    home: str | None, avoided: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = ScorerStatus("scorer-0", 1, home or "", Incarnation("a", 0), ShardMemory(0, 0, 0, 0))
    answer = ray.put(status) if home else ray.remote(num_cpus=99)(never).remote()
    move, ended = PendingMove(Move(0, "new"), "scorer-0-test_a", "another", answer, since=time.monotonic()), list[str]()
    group = ScorerGroup(ScorerFactory((1.0, 0.0), "test"), ["own"], nodes={0: "old"}, moves=[move])
    monkeypatch.setattr(ray, "kill", ended.append)
    assert group.settle(patience_s=0.0, spec=SpecRef("none", [])) == (home == "new")
    assert (group.avoided_nodes, group.moves, ended) == (avoided, [], ["own" if home == "new" else "another"])


def task_error(cause: Exception) -> RayTaskError:
    return RayTaskError("ask", "traceback", cause)


@pytest.mark.parametrize(
    "error",
    [
        ActorUnavailableError("gone", None), OwnerDiedError("00", "", ""), OutOfMemoryError("killed"),
        task_error(OwnerDiedError("00", "", "")),
    ],
)  # fmt: skip
def test_passing_faults_are_retried(error: RayError) -> None:
    assert reason_to_repeat(error, "scorer-1").endswith("Error")


def test_final_errors_and_users_exceptions_are_raised() -> None:
    with pytest.raises(ServiceError, match="scorer-1 is gone for good"):
        reason_to_repeat(ActorDiedError(), "scorer-1")
    with pytest.raises(ServiceError, match="no room for the answer of scorer-1.*object-store-memory"):
        reason_to_repeat(task_error(ObjectStoreFullError("full")), "scorer-1")
    with pytest.raises(KeyError, match="a bug"):
        reason_to_repeat(task_error(KeyError("a bug")), "scorer-1")


def test_a_full_object_store_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(value: object) -> None:
        raise ObjectStoreFullError("full")

    monkeypatch.setattr(ray, "put", full)
    with pytest.raises(ServiceError, match="no room for the weights in Ray's object store"):
        put(1, "the weights")


def test_a_program_waits_only_for_rounds_before_its_own() -> None:
    assert last_moment(now=0.0, round_s=60.0, before=0) == 150.0
    assert last_moment(now=0.0, round_s=60.0, before=2) == 270.0
