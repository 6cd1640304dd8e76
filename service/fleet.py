"""The fleet of shards in this process, and what any fleet can do."""

import copy
import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from common.models.adapt import Embedder
from common.types import InstanceFeatures, Round, Selection, Snapshot
from service.partition import block_count, share_blocks
from service.shard import Holding, Shard
from service.source import BagSource
from service.threads import block_workers


@dataclass(frozen=True)
class Stock:
    """All that shards are made from: both parts' bags, the architecture, and the cutting into blocks."""

    pool: BagSource
    positives: BagSource
    model: Embedder
    shards: int
    block: int
    cache_bytes: int

    def holding(self, number: int) -> Holding:
        """What shard `number` holds."""
        pool = share_blocks(block_count(len(self.pool), self.block), self.shards)[number]
        positives = share_blocks(block_count(len(self.positives), self.block), self.shards)[number]
        return Holding(self.pool, self.positives, pool, positives, self.block, (number, self.shards))


class Fleet(Protocol):
    """Shards that can be asked all at once, wherever they are."""

    retries: int
    """Calls repeated so far because a shard was gone."""

    def publish(self, snapshot: Snapshot) -> Any:  # Any: a snapshot, or a reference to one
        """Make weights available to all shards; what comes back stands for them in `ask`."""

    def ask(self, method: str, published: Any, *args: Any) -> Sequence[Any]:  # Any: as above; the method's
        """`Shard.method(snapshot, *args)` of every shard, in the order of their numbers."""

    def extend(self, published: Any, features: InstanceFeatures) -> Any:  # Any: as above
        """The same weights together with the features of the pool's instances."""


class Pending(Protocol):
    """A selection under way."""

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for it; raises TimeoutError after `timeout_s`, and whatever went wrong in the service."""


class Service(Protocol):
    """Where rounds are run: in this process, or by a coordinator actor."""

    def begin(self, round: Round, snapshot: Snapshot) -> Pending:
        """Start a round; it doesn't wait."""

    def describe(self) -> str:
        """What was set up, in one line."""

    def close(self) -> None:
        """Let go of everything; waits for a round under way."""


class LocalFleet:
    """All shards in this process, asked one after another; each spreads its blocks over the machine's cores."""

    retries = 0

    def __init__(self, stock: Stock, device: torch.device) -> None:
        self._threads = block_workers(1 if device.type == "cuda" else len(os.sched_getaffinity(0)))
        self._shards = [
            Shard(stock.holding(number), copy.deepcopy(stock.model).to(device), self._threads, stock.cache_bytes)
            for number in range(stock.shards)
        ]

    def publish(self, snapshot: Snapshot) -> Snapshot:
        """Nothing to do: shards read it where it is."""
        return snapshot

    def ask(self, method: str, published: Snapshot, *args: Any) -> Sequence[Any]:  # Any: the method's
        """`Shard.method(snapshot, *args)` of every shard."""
        return [getattr(shard, method)(published, *args) for shard in self._shards]

    def extend(self, published: Snapshot, features: InstanceFeatures) -> Snapshot:
        """The same weights together with the features of the pool's instances."""
        return dataclasses.replace(published, features=features)

    def close(self) -> None:
        """End the worker threads."""
        self._threads.shutdown()


class Rounds(Protocol):
    """The coordinator, as a service needs it."""

    def select(self, round: Round, published: Any) -> Selection:  # Any: a snapshot, or a reference to one
        """Run one round."""


class LocalService:
    """Rounds run one at a time on a thread of their own, so that `begin` doesn't wait."""

    def __init__(self, fleet: LocalFleet, coordinator: Rounds, line: str) -> None:
        self._fleet, self._coordinator, self._line = fleet, coordinator, line
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="negsift-coordinator")

    def begin(self, round: Round, snapshot: Snapshot) -> Pending:
        """Queue the round."""
        return LocalPending(self._thread.submit(self._coordinator.select, round, snapshot))

    def describe(self) -> str:
        """What was set up, in one line."""
        return self._line

    def close(self) -> None:
        """Finish what was begun and end the threads."""
        self._thread.shutdown()
        self._fleet.close()


@dataclass(frozen=True)
class LocalPending:
    """A selection under way on the coordinator's thread."""

    future: Future[Selection]

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for it; raises TimeoutError after `timeout_s`."""
        return self.future.result(timeout_s)
