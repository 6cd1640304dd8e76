"""The fleet on Ray: scorer actors asked all at once, retries until a deadline. A plain class, wrapped here.

A scorer that dies is restarted by Ray and rebuilt from its arguments; calls carry the weights'
reference, so it can't answer with old ones.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError

from common.errors import ServiceError
from common.types import InstanceFeatures, Snapshot
from service.fleet import Stock
from service.holdings import Shards
from service.threads import block_workers

_PAUSE_S = 0.1
_REFRESH_S = 1.0


@dataclass(frozen=True)
class Published:
    """Weights in the object store: references in a list, so that only the receiver fetches them.

    They are a Snapshot, or a client's plain arrays for the pool's version `edition`. `stock` is what they
    are to score, by its digest and its reference; none of it where the scorers hold just one.
    """

    version: int
    digest: str
    references: Sequence[Any]  # Any: ray.ObjectRef of weights and, perhaps, of InstanceFeatures
    edition: int = 0
    stock: tuple[str, Sequence[Any]] | None = None  # Any: ray.ObjectRef of a Stock

    def snapshot(self, parts: Sequence[Any]) -> Snapshot:  # Any: what the references stand for
        """The weights, from what was fetched."""
        plain = not isinstance(parts[0], Snapshot)
        given = Snapshot(self.version, self.digest, parts[0], None, self.edition) if plain else parts[0]
        return replace(given, features=parts[1] if len(parts) > 1 else None)


class Scorer:
    """A shard in a process of its own, or one of each stock that is asked for."""

    def __init__(self, number: int, held: Sequence[Any], cpus: float) -> None:  # Any: ray.ObjectRef of a Stock
        self._number, self._only = number, ("", held)
        device = torch.device("cuda" if ray.get_gpu_ids() else "cpu")
        threads = block_workers(max(1, int(cpus)) if device.type == "cpu" else 1)
        self._shards = Shards(number, device, threads)
        self._snapshot: tuple[Published, Snapshot] | None = None
        if held:
            self._shards.of("", lambda: self._fetch_stock(held))

    def __repr__(self) -> str:
        return f"scorer-{self._number}"

    def ask(self, method: str, published: Published, arguments: Sequence[Any]) -> Any:  # Any: the method's
        """`Shard.method` with the weights `published`."""
        digest, held = published.stock or self._only
        shard = self._shards.of(digest, lambda: self._fetch_stock(held))
        return getattr(shard, method)(self._fetch(published), *ray.get(arguments[0]))

    def status(self) -> dict[str, Any]:  # Any: numbers and strings
        """What it is and holds."""
        node = ray.get_runtime_context().get_node_id()
        return {"name": repr(self), "pid": os.getpid(), "node": node, **self._shards.status()}

    def _fetch(self, published: Published) -> Snapshot:
        if self._snapshot is None or self._snapshot[0] != published:
            self._snapshot = published, published.snapshot(ray.get(list(published.references)))
        return self._snapshot[1]

    def _fetch_stock(self, held: Sequence[Any]) -> Stock:  # Any: ray.ObjectRef of a Stock
        stock: Stock = ray.get(held[0])
        return stock


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


def start_scorers(held: Any, shards: int, resources: tuple[float, float], tag: str) -> Sequence[Any]:  # Any: Ray's
    """One scorer a shard, each with so many CPUs and GPUs; `tag` tells their names from other services'.

    `held` refers to the Stock in the object store; keep it for as long as scorers may be restarted. With
    None, calls name the stock they are for.
    """
    (cpus, gpus), scorer = resources, ray.remote(Scorer)
    return [
        scorer.options(
            name=f"scorer-{number}-{tag}", num_cpus=cpus, num_gpus=gpus, max_restarts=-1, max_task_retries=0
        ).remote(number, [] if held is None else [held], cpus)
        for number in range(shards)
    ]
