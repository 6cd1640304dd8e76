"""The fleet on Ray: scorer actors, a coordinator actor, retries until a deadline. Plain classes, wrapped here.

The program that starts a service owns its actors: they end with it. A scorer that dies is restarted
by Ray and rebuilt from its arguments; calls carry the weights' reference, so it can't answer with old ones.
"""

import logging
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import ActorDiedError, GetTimeoutError, RayActorError, RayTaskError

from common.errors import BadInput, ServiceError
from common.types import InstanceFeatures, Round, Selection, Snapshot
from service.coordinator import Coordinator, Layout, Task
from service.fleet import Stock
from service.rounds import Pending
from service.setup import FleetConfig
from service.shard import Shard
from service.threads import block_workers

NAMESPACE = "negsift"
_PAUSE_S = 0.1
_REFRESH_S = 1.0


@dataclass(frozen=True)
class Published:
    """Weights in the object store: references in a list, so that only the receiver fetches them."""

    version: int
    digest: str
    references: Sequence[Any]  # Any: ray.ObjectRef of a Snapshot and, perhaps, of InstanceFeatures


class Scorer:
    """One shard in a process of its own."""

    def __init__(self, number: int, held: Sequence[Any], cpus: float) -> None:  # Any: ray.ObjectRef of a Stock
        stock: Stock = ray.get(held[0])
        self._number, self._stock = number, stock
        device = torch.device("cuda" if ray.get_gpu_ids() else "cpu")
        threads = block_workers(max(1, int(cpus)) if device.type == "cpu" else 1)
        self._shard = Shard(stock.holding(number), stock.model.to(device), threads, stock.cache_bytes)
        self._snapshot: Snapshot | None = None
        self._fetched: Sequence[Any] = ()

    def __repr__(self) -> str:
        return f"scorer-{self._number}"

    def ask(self, method: str, published: Published, arguments: Sequence[Any]) -> Any:  # Any: the method's
        """`Shard.method` with the weights `published`."""
        return getattr(self._shard, method)(self._fetch(published), *ray.get(arguments[0]))

    def status(self) -> dict[str, Any]:  # Any: numbers and strings
        """What it is and holds."""
        blocks = self._stock.holding(self._number).pool_blocks
        return {"name": repr(self), "pid": os.getpid(), "blocks": len(blocks)}

    def _fetch(self, published: Published) -> Snapshot:
        if self._snapshot is None or list(published.references) != list(self._fetched):
            parts = ray.get(list(published.references))
            self._snapshot = replace(parts[0], features=parts[1] if len(parts) > 1 else None)
            self._fetched = published.references
        return self._snapshot


class RayFleet:
    """Scorer actors asked all at once; a call whose scorer died is repeated until the deadline."""

    def __init__(self, scorers: Sequence[Any], deadline_s: float) -> None:  # Any: actor handles
        self._scorers, self._deadline_s = scorers, deadline_s
        self.retries = 0

    def publish(self, snapshot: Snapshot) -> Published:
        """Put the weights into the object store, once for all shards."""
        return Published(snapshot.version, snapshot.digest, [ray.put(snapshot)])

    def extend(self, published: Published, features: InstanceFeatures) -> Published:
        """The same weights together with the features of the pool's instances."""
        return replace(published, references=[published.references[0], ray.put(features)])

    def ask(self, method: str, published: Published, *args: Any) -> Sequence[Any]:  # Any: the method's
        """`Shard.method(snapshot, *args)` of every shard, in the order of their numbers.

        Raises ServiceError if an answer is missing at the deadline or a scorer can't be restarted;
        an exception raised by the model or the pool comes out as itself, at once.
        """
        arguments = [ray.put(args)]
        until = time.monotonic() + self._deadline_s
        answers: dict[int, Any] = {}
        waiting = {self._call(number, method, published, arguments): number for number in range(len(self._scorers))}
        while waiting:
            done, _ = ray.wait(list(waiting), timeout=min(_REFRESH_S, max(0.0, until - time.monotonic())))
            for reference in done:
                number = waiting.pop(reference)
                try:
                    answers[number] = ray.get(reference)
                except RayActorError as error:
                    self._give_up_if_final(number, error)
                    time.sleep(_PAUSE_S)
                    waiting[self._call(number, method, published, arguments)] = number
                    self.retries += 1
                except RayTaskError as error:
                    raise error.cause from error
            if waiting and time.monotonic() > until:
                silent = ", ".join(f"scorer-{number}" for number in sorted(waiting.values()))
                raise ServiceError(
                    f"no answer from {silent} within {self._deadline_s:g} s",
                    "look at the Ray dashboard, or raise --set fleet.deadline_s",
                )
        return [answers[number] for number in range(len(self._scorers))]

    def _call(self, number: int, method: str, published: Published, arguments: Sequence[Any]) -> Any:
        named = self._scorers[number].ask.options(name=f"scorer-{number}.{method}:version={published.version}")
        return named.remote(method, published, arguments)

    def _give_up_if_final(self, number: int, error: RayActorError) -> None:
        if isinstance(error, ActorDiedError):
            raise ServiceError(f"scorer-{number} is gone for good ({error})", "start the sampler again") from error


class RoundsActor:
    """The coordinator in a process of its own; stateless, so Ray may restart it and repeat a round."""

    def __init__(self, scorers: Sequence[Any], layout: Layout, deadline_s: float) -> None:  # Any: actor handles
        self._coordinator = Coordinator(RayFleet(scorers, deadline_s), layout)

    def __repr__(self) -> str:
        return "coordinator"

    def select(self, task: Task, round: Round, published: Published) -> Selection:
        """Run one round."""
        return self._coordinator.select(task, round, published)


class RayService:
    """Rounds run by a coordinator actor."""

    def __init__(self, scorers: Sequence[Any], coordinator: Any, line: str) -> None:  # Any: actor handles
        self.scorers, self.coordinator, self._line = scorers, coordinator, line

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> Pending:
        """Hand the weights to the object store and the round to the coordinator."""
        published = Published(snapshot.version, snapshot.digest, [ray.put(snapshot)])
        named = self.coordinator.select.options(name=f"select:epoch={round.epoch}")
        return RayPending(named.remote(task, round, published))

    def describe(self) -> str:
        """What was set up, in one line."""
        return self._line

    def close(self) -> None:
        """End the actors; Ray itself goes on."""
        for actor in (self.coordinator, *self.scorers):
            ray.kill(actor)


@dataclass(frozen=True)
class RayPending:
    """A selection under way in the coordinator actor."""

    reference: Any  # Any: ray.ObjectRef

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for it; raises TimeoutError after `timeout_s`."""
        try:
            selection: Selection = ray.get(self.reference, timeout=timeout_s)
        except GetTimeoutError:
            raise TimeoutError(f"no selection within {timeout_s:g} s") from None
        except RayTaskError as error:
            raise error.cause from error
        return selection


def connect(dashboard: bool = False) -> None:
    """Join the cluster in `RAY_ADDRESS`, else start Ray on this machine; nothing if already connected."""
    if ray.is_initialized():
        return
    if "RAY_ADDRESS" in os.environ:
        ray.init(namespace=NAMESPACE, log_to_driver=False)
        return
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {"env_vars": {"PYTHONPATH": paths.rstrip(os.pathsep)}}
    ray.init(
        namespace=NAMESPACE, include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR,
        runtime_env=environment,
    )  # fmt: skip


def start_ray_service(stock: Stock, layout: Layout, config: FleetConfig) -> RayService:
    """Scorers and a coordinator on the Ray cluster; raises BadInput for resources it doesn't have."""
    connect(config.dashboard)
    cpus, gpus = share_resources(ray.cluster_resources(), config, stock.shards)
    tag = uuid.uuid4().hex[:6]
    held = ray.put(stock)
    scorers = start_scorers(stock, cpus, gpus, tag)
    rounds = ray.remote(RoundsActor).options(
        name=f"coordinator-{tag}", num_cpus=0, num_gpus=0, max_restarts=-1, max_task_retries=-1
    )
    coordinator = rounds.remote(scorers, layout, config.deadline_s)
    device = f"{gpus:g} GPU" if gpus else f"{cpus:g} CPU, no GPU"
    line = f"{stock.shards} Ray scorers of {len(stock.pool):,} bags, {device} each; coordinator-{tag}"
    return RayService(scorers, coordinator, line)


def start_scorers(stock: Stock, cpus: float, gpus: float, tag: str) -> Sequence[Any]:  # Any: actor handles
    """One scorer a shard; `tag` tells their names from those of other services."""
    held, scorer = ray.put(stock), ray.remote(Scorer)
    return [
        scorer.options(
            name=f"scorer-{number}-{tag}", num_cpus=cpus, num_gpus=gpus, max_restarts=-1, max_task_retries=0
        ).remote(number, [held], cpus)
        for number in range(stock.shards)
    ]


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
