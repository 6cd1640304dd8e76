"""Rounds on Ray: a coordinator actor over scorer actors.

The program that starts a service owns its actors: they end with it.
"""

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, ObjectLostError, RayActorError, RayTaskError

from negsift.common.errors import BadInput, ServiceError
from negsift.common.protocols import Pending
from negsift.common.types import Round, Selection, Snapshot
from negsift.service.cluster.connect import connect
from negsift.service.cluster.errors import cluster_line, put
from negsift.service.cluster.fleet import RayFleet
from negsift.service.cluster.scorer import Published
from negsift.service.cluster.scorer_group import ScorerFactory, ScorerGroup
from negsift.service.config import FleetConfig
from negsift.service.fleet.failover import Limits
from negsift.service.fleet.local import ShardSpec
from negsift.service.monitoring.metrics import ServiceMetrics
from negsift.service.monitoring.round_stats import Lags, RoundStats
from negsift.service.points.shared_points import PoolLayout
from negsift.service.selection.coordinator import Coordinator, Task

_GRACE_S = 30.0


class RoundsActor:
    """The coordinator in a process of its own; stateless, so Ray may restart it and repeat a round."""

    def __init__(self, crew: ScorerGroup, layout: PoolLayout, limits: Limits) -> None:
        self._crew, self._layout, self._limits = crew, layout, limits
        self._told, self._past = ServiceMetrics(crew.making.tag), dict[str, RoundStats]()
        crew.revive()

    def __repr__(self) -> str:
        return "coordinator"

    def status(self) -> dict[str, Any]:  # Any: numbers and strings
        """What it is."""
        return {"name": repr(self), "pid": os.getpid()}

    def select(self, task: Task, round: Round, published: Published) -> Selection:
        """Run one round."""
        fleet = RayFleet(self._crew, self._limits)
        selection = Coordinator(fleet, self._layout).select(task, round, published)
        name = f"{type(task.strategy).__name__}-seed{round.seed}"
        past = self._past.setdefault(name, RoundStats())
        past.add(selection, round.epoch, self._layout.of(round).pool, Lags())
        self._told.round(name, selection, past)
        return selection


class RayService:
    """Rounds run by a coordinator actor."""

    def __init__(self, coordinator: Any, crew: ScorerGroup, line: str, round_s: float) -> None:  # Any: an actor handle
        """`crew` is what the coordinator began with."""
        self.coordinator, self.crew, self._line, self._round_s = coordinator, crew, line, round_s
        self._begun: list[Any] = []  # Any: ray.ObjectRef
        self._owner = True

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        """Other processes can have rounds run, too; to close it in one of them does nothing."""
        return {**self.__dict__, "_begun": [], "_owner": False}

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> Pending:
        """Hand the weights to the object store and the round to the coordinator."""
        published = Published(snapshot.version, snapshot.digest, [put(snapshot, "the weights")])
        named = self.coordinator.select.options(name=f"select:epoch={round.epoch}")
        reference = named.remote(task, round, published)
        before = ray.wait(self._begun, num_returns=len(self._begun), timeout=0)[1] if self._begun else []
        self._begun = [*before, reference]
        return RayPending(reference, last_moment(time.monotonic(), self._round_s, len(before)))

    def describe(self) -> str:
        """What was set up, in one line."""
        return self._line

    def close(self, finish: bool = True) -> None:
        """End the actors; Ray itself goes on."""
        for actor in (self.coordinator, *self.crew.scorers) if self._owner else ():
            ray.kill(actor)


@dataclass(frozen=True)
class RayPending:
    """A selection under way in the coordinator actor; without an answer at `until` (monotonic) it is an error."""

    reference: Any  # Any: ray.ObjectRef
    until: float

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for it; raises TimeoutError after `timeout_s`, ServiceError if the coordinator can't end the round."""
        left_s = max(0.0, self.until - time.monotonic())
        try:
            selection: Selection = ray.get(self.reference, timeout=left_s if timeout_s is None else timeout_s)
        except GetTimeoutError:
            if timeout_s is not None:
                raise TimeoutError(f"no selection within {timeout_s:g} s") from None
            raise ServiceError(
                f"no answer from the coordinator within the time of its rounds; {cluster_line()}",
                "bring lost nodes back or add one, or raise --set fleet.deadline_s",
            ) from None
        except RayTaskError as error:
            raise error.cause from error
        except (RayActorError, ObjectLostError) as error:
            raise ServiceError(f"the coordinator is gone ({error})", "start the sampler again") from error
        return selection


def last_moment(now: float, round_s: float, before: int) -> float:
    """When a round is given up: it and those `before` it may take `round_s` each, and a lost coordinator once more."""
    return now + (before + 2) * round_s + _GRACE_S


def start_ray_service(stock: ShardSpec, layout: PoolLayout, config: FleetConfig) -> RayService:
    """Scorers and a coordinator on the Ray cluster; raises BadInput for resources it doesn't have."""
    connect(config.dashboard)
    have = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    stock = replace(stock, shards=shard_count(have, config))
    cpus, gpus = share_resources(have, config, stock.shards)
    tag = uuid.uuid4().hex[:6]
    crew = ScorerGroup.start(ScorerFactory([put(stock, "the pool")], (cpus, gpus), tag), stock.shards)
    await_start(crew.scorers, config.start_s)
    rounds = ray.remote(RoundsActor).options(
        name=f"coordinator-{tag}", num_cpus=0, num_gpus=0, max_restarts=-1, max_task_retries=-1
    )
    needs = f"{cpus:g} CPU and {gpus:g} GPU"
    coordinator = rounds.remote(crew, layout, replace(config.limits, needs=needs))
    device = f"{gpus:g} GPU" if gpus else f"{cpus:g} CPU, no GPU"
    line = f"{stock.shards} Ray scorers of {len(stock.pool):,} bags, {device} each; coordinator-{tag}"
    line += f" ({config.scoring.line})" if config.scoring.line else ""
    return RayService(coordinator, crew, line, config.deadline_s)


def shard_count(have: dict[str, float], config: FleetConfig) -> int:
    """The shards asked for, or one a GPU of the cluster, or one a core where it has none."""
    return config.shards or max(1, int(have.get("GPU", 0.0) or have.get("CPU", 0.0)))


def await_start(scorers: Sequence[Any], limit_s: float) -> None:  # Any: actor handles
    """Wait until every scorer has made its shard; raises what goes wrong in that, ServiceError for those not placed."""
    waiting = [scorer.build.remote() for scorer in scorers]
    ready, missing = ray.wait(waiting, num_returns=len(waiting), timeout=limit_s)
    if missing:
        for scorer in scorers:
            ray.kill(scorer)
        free = ray.available_resources()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
        raise ServiceError(
            f"{len(missing)} of {len(scorers)} scorers not started within {limit_s:g} s; the cluster has "
            f"{free.get('CPU', 0.0):g} CPU and {free.get('GPU', 0.0):g} GPU free",
            "stop another service, lower --set fleet.cpus_per_shard or fleet.shards, or raise fleet.start_s",
        )
    try:
        ray.get(ready)
    except RayTaskError as error:
        raise error.cause from error
    except RayActorError as error:
        raise ServiceError(f"a scorer can't be built ({error})", "see the cause above") from error


def share_resources(have: dict[str, float], config: FleetConfig, shards: int) -> tuple[float, float]:
    """CPUs and GPUs of each scorer: what was asked for, else an even share of the cluster's, at most one.

    Raises BadInput if the cluster has less than what was asked for.
    """
    asked = {"CPU": config.cpus_per_shard, "GPU": config.gpus_per_shard}
    for kind, each in asked.items():
        if each is not None and each * shards > have.get(kind, 0.0):
            raise BadInput(
                f"{shards} scorers of {each:g} {kind} each on a cluster with {have.get(kind, 0.0):g}",
                f"at most {have.get(kind, 0.0):g} {kind} in all",
                f"lower --set fleet.{kind.lower()}s_per_shard or --set fleet.shards, or add nodes",
            )
    even = {kind: min(1.0, int(1000 * have.get(kind, 0.0) / shards) / 1000) for kind in asked}
    cpus, gpus = (even[kind] if each is None else each for kind, each in asked.items())
    return cpus, gpus
