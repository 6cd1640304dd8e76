"""What a scorer holds: a shard for every target and architecture asked of it, those longest unused let go.

Targets and architectures of one table share its decoded row groups; see `common.data.table.cache`.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor

import torch

from negsift.common.types import Snapshot
from negsift.service.fleet.local import ShardSpec
from negsift.service.fleet.work_items import WorkItem
from negsift.service.scoring.shard import Shard


class ShardCache:
    """Shard `number` of every stock in use, each called by its digest."""

    def __init__(self, number: int, device: torch.device, threads: Executor) -> None:
        self._number, self._device, self._threads = number, device, threads
        self._held: OrderedDict[str, tuple[ShardSpec, Shard]] = OrderedDict()
        self._standing_in: dict[tuple[str, str, WorkItem], Shard] = {}

    def of(self, digest: str, fetch: Callable[[], ShardSpec]) -> Shard:
        """The shard of the stock called `digest`, made from what `fetch` gives if it isn't held.

        All shards together keep no more embeddings than one may; the others give theirs up, the longest
        unused first, until half of that is free.
        """
        if digest not in self._held:
            stock = fetch()
            self._held[digest] = stock, stock.shard(self._number, stock.model.to(self._device), self._threads)
        self._held.move_to_end(digest)
        stock, shard = self._held[digest]
        while len(self._held) > stock.tasks_held:
            self._held.popitem(last=False)
        others = [other for _, other in self._held.values() if other is not shard]
        for other in others:
            other.rest(keep=sum(each.kept_bytes for each in others) <= stock.cache_bytes // 2)
        shard.allow(stock.cache_bytes - sum(other.kept_bytes for other in others))
        return shard

    def answering(self, digest: str, snapshot: Snapshot, piece: WorkItem) -> Shard:
        """The shard that is held for a stock or, for a piece of another one's share, one that stands in for that.

        Those that stand in are kept, with their points, until other weights are asked about.
        """
        about = digest, snapshot.digest
        self._standing_in = {key: shard for key, shard in self._standing_in.items() if key[:2] == about}
        stock, own = self._held[digest]
        if piece == WorkItem(self._number):
            return own
        own.load(snapshot)  # the model is the same for all of them
        if (*about, piece) not in self._standing_in:
            holding = stock.piece(piece.number, piece.at, piece.of)
            self._standing_in[*about, piece] = own.standing_in(snapshot, holding)
        return self._standing_in[*about, piece]

    def status(self) -> dict[str, object]:
        """How many shards there are, the blocks of the one used last, bytes of embeddings and of the process."""
        shards = [shard for _, shard in self._held.values()]
        return {
            "shards": len(shards), "blocks": shards[-1].blocks if shards else 0,
            "kept_bytes": sum(shard.kept_bytes for shard in shards), "memory_bytes": resident_bytes(),
        }  # fmt: skip


def resident_bytes() -> int:
    """The memory this process takes, in bytes, with what it shares with others."""
    with open("/proc/self/statm") as table:
        return int(table.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
