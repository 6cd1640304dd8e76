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

from common.types import Snapshot
from service.fleet import Stock
from service.repair import Piece
from service.shard import Shard
from service.threads import block_workers

_FETCH_S = 120.0


@dataclass(frozen=True)
class Published:
    """Weights in the object store: references in a list, so that only the receiver fetches them."""

    version: int
    digest: str
    references: Sequence[Any]  # Any: ray.ObjectRef of a Snapshot and, perhaps, of InstanceFeatures


@dataclass(frozen=True)
class Reply:
    """An answer, and which life of the scorer it comes from."""

    life: str
    answer: Any  # Any: the method's


class Scorer:
    """One shard in a process of its own."""

    def __init__(self, number: int, held: Sequence[Any], cpus: float) -> None:  # Any: ray.ObjectRef of a Stock
        stock: Stock = ray.get(held[0])  # no limit of its own: whoever waits for this scorer has one
        self._number, self._stock, self._life = number, stock, uuid.uuid4().hex
        device = torch.device("cuda" if ray.get_gpu_ids() else "cpu")
        threads = block_workers(max(1, int(cpus)) if device.type == "cpu" else 1)
        self._shard = Shard(stock.holding(number), stock.model.to(device), threads, stock.cache_bytes)
        self._snapshot: Snapshot | None = None
        self._fetched: Sequence[Any] = ()

    def __repr__(self) -> str:
        return f"scorer-{self._number}"

    def ask(self, method: str, published: Published, arguments: Sequence[Any], piece: Piece) -> Reply:
        """`Shard.method` with the weights `published`, of its own share or of a piece of another one's."""
        snapshot, given = self._fetch(published), ray.get(arguments[0], timeout=_FETCH_S)
        shard = self._shard
        if piece.number != self._number:
            shard = shard.standing_in(snapshot, self._stock.piece(piece.number, piece.at, piece.of))
        return Reply(self._life, getattr(shard, method)(snapshot, *given))

    def status(self) -> dict[str, Any]:  # Any: numbers and strings
        """What it is and holds."""
        blocks = self._stock.holding(self._number).pool_blocks
        node = ray.get_runtime_context().get_node_id()
        return {"name": repr(self), "pid": os.getpid(), "node": node, "blocks": len(blocks)}

    def _fetch(self, published: Published) -> Snapshot:
        if self._snapshot is None or list(published.references) != list(self._fetched):
            parts = ray.get(list(published.references), timeout=_FETCH_S)
            self._snapshot = replace(parts[0], features=parts[1] if len(parts) > 1 else None)
            self._fetched = published.references
        return self._snapshot
