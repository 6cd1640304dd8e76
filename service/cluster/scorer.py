"""A scorer: one shard in a process of its own. A plain class, wrapped by the fleet.

Calls carry the weights' reference, so a scorer that was started anew can't answer with old ones.
"""

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch

from negsift.common.threads import block_workers
from negsift.common.types import Snapshot
from negsift.service.fleet.local import ShardSpec
from negsift.service.fleet.work_items import WorkItem
from negsift.service.scoring.shard_cache import ShardCache

_FETCH_S = 120.0


@dataclass(frozen=True)
class Published:
    """Weights in the object store: references in a list, so that only the receiver fetches them.

    They are a Snapshot, or a client's plain arrays for the pool's version `pool_version`. `stock` is what they
    are to score, by its digest and its reference; none of it where the scorers hold just one.
    """

    version: int
    digest: str
    references: Sequence[Any]  # Any: ray.ObjectRef of weights and, perhaps, of InstanceFeatures
    pool_version: int = 0
    stock: tuple[str, Sequence[Any]] | None = None  # Any: ray.ObjectRef of a Stock

    def snapshot(self, parts: Sequence[Any]) -> Snapshot:  # Any: what the references stand for
        """The weights, from what was fetched."""
        plain = not isinstance(parts[0], Snapshot)
        given = Snapshot(self.version, self.digest, parts[0], None, self.pool_version) if plain else parts[0]
        return replace(given, features=parts[1] if len(parts) > 1 else None)


@dataclass(frozen=True)
class Reply:
    """An answer, which life of the scorer it comes from, and on which node."""

    life: str
    answer: Any  # Any: the method's
    node: str


class Scorer:
    """A shard in a process of its own, or one of each stock that is asked for."""

    def __init__(self, number: int, held: Sequence[Any], cpus: float) -> None:  # Any: ray.ObjectRef of a Stock
        self._number, self._only, self._life = number, ("", held), uuid.uuid4().hex
        self._node: str = ray.get_runtime_context().get_node_id()
        device = torch.device("cuda" if ray.get_gpu_ids() else "cpu")
        threads = block_workers(max(1, int(cpus)) if device.type == "cpu" else 1)
        self._shards = ShardCache(number, device, threads)
        self._snapshot: tuple[Published, Snapshot] | None = None

    def __repr__(self) -> str:
        return f"scorer-{self._number}"

    def build(self) -> None:
        """Make the shard of the only stock, if there is just one, before it is asked anything."""
        digest, held = self._only
        if held:
            self._shards.of(digest, lambda: _stock(held))

    def ask(self, method: str, published: Published, arguments: Sequence[Any], piece: WorkItem) -> Reply:
        """`Shard.method` with the weights `published`, of its own share or of a piece of another one's."""
        digest, held = published.stock or self._only
        self._shards.of(digest, lambda: _stock(held))
        snapshot, given = self._fetch(published), ray.get(arguments[0], timeout=_FETCH_S)
        shard = self._shards.answering(digest, snapshot, piece)
        return Reply(self._life, getattr(shard, method)(snapshot, *given), self._node)

    def status(self) -> dict[str, Any]:  # Any: numbers and strings
        """What it is and holds."""
        return {"name": repr(self), "pid": os.getpid(), "node": self._node, **self._shards.status()}

    def _fetch(self, published: Published) -> Snapshot:
        if self._snapshot is None or self._snapshot[0] != published:
            parts = ray.get(list(published.references), timeout=_FETCH_S)
            self._snapshot = published, published.snapshot(parts)
        return self._snapshot[1]


def _stock(held: Sequence[Any]) -> ShardSpec:  # Any: ray.ObjectRef of a Stock
    stock: ShardSpec = ray.get(held[0])  # no limit of its own: whoever waits for this scorer has one
    return stock
