"""Bags decoded within a budget of memory: row groups that fit are held, the others come by, one ahead of need.

A shard asks for its bags in the order of their positions, so what is decoded next is known, and a
thread of its own decodes it while the last one is scored.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch
from negsift.common.data.table.cache import RowGroupCache
from negsift.common.data.table.decoded_row_group import (
    DecodedRowGroup,
    Values,
    decode,
    decoded_bytes,
    part_rows,
    working_bytes,
)
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.manifest import RowGroup
from negsift.common.data.table.reader import GroupReader
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadInput

if TYPE_CHECKING:
    from negsift.common.data.table.bags import TableBags

_READING_BYTES = 72 << 20
"""What reading, decoding and scoring take besides, measured: buffers of Arrow and torch, one by one small."""
_PASSING = 3
"""Row groups in memory that aren't held: the one scored, the one before, which a thread may still need, the next."""


@dataclass(frozen=True)
class HeldRowGroups:
    """A row group in memory: its numbers, and which of its rows are bags of the pool."""

    chunk: DecodedRowGroup
    rows: Index


class RowGroupStream:
    """The bags of a table at `span` of positions, for threads that ask for runs of them in order.

    With an empty span any bags may be asked for, and nothing is read ahead; `expect` tells which ones come.
    """

    def __init__(self, bags: "TableBags", span: range, budget: DecodingBudget) -> None:
        """Raises BadInput for a budget that the row groups passing by don't fit in."""
        self.bags, self.budget = bags, budget
        self._filled = np.flatnonzero(np.diff(bags.starts))  # row groups without a bag of the pool are passed over
        self._order = self._groups([span] if span else [])
        self._room = budget.memory_bytes - require_room(bags, budget)
        self._reader = GroupReader(bags.where, bags.manifest)
        self._images = (
            None if bags.images is None else RowGroupStream(bags.images, range(0), _whole(bags.images, budget))
        )
        self._cache = RowGroupCache(bags.manifest.payload, budget.disk_bytes)
        self._held: dict[int, Future[HeldRowGroups]] = {}
        self._passing: dict[int, Future[HeldRowGroups]] = {}
        self._lock = threading.Lock()
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="negsift-decode")

    def __len__(self) -> int:
        return len(self.bags)

    def __getitem__(self, position: int) -> Tensor:
        """The bag at a position."""
        return split_bags(self.gather(np.array([position])))[0]

    def expect(self, spans: Sequence[range]) -> None:
        """Bags at these runs of positions, ascending, are asked for next; only their row groups are read ahead."""
        with self._lock:
            self._order = self._groups(spans)

    def gather(self, index: Index) -> BagBatch | Tensor:
        """The bags at ascending positions, end to end; clips as a tensor (n, frames, mels)."""
        groups = self.bags.groups_of(index)
        parts = [self._gather(int(group), index[groups == group]) for group in np.unique(groups)]
        values = np.concatenate([values for values, _ in parts]) if len(parts) > 1 else parts[0][0]
        bags = torch.from_numpy(values) if self._images is None else self._images.views(values)
        clips = self.bags.manifest.payload.sound
        return bags if clips else BagBatch(bags, np.concatenate([sizes for _, sizes in parts]))

    def views(self, rows: Index) -> Tensor:
        """The bags at any positions, bags of one instance each, end to end; one that comes again is gathered once."""
        once, place = np.unique(rows, return_inverse=True)
        found = self.gather(once)
        instances = found if isinstance(found, Tensor) else found.instances
        return instances[torch.from_numpy(place)]

    def _gather(self, group: int, index: Index) -> tuple[Values, Index]:
        held = self._group(group)
        return held.chunk.gather(held.rows[index - self.bags.starts[group]], self.bags.manifest.payload.given)

    def _group(self, number: int) -> HeldRowGroups:
        with self._lock:
            rank = int(np.searchsorted(self._order, number))
            near = {number, *self._order[max(rank - 1, 0) : rank + 2].tolist()}
            future = self._ask(number)
            self._passing = {group: held for group, held in self._passing.items() if group in near}
            ahead = self._order[rank + 1 : rank + 2] if number in self._order[rank : rank + 1] else self._order[:0]
            for later in ahead.tolist():
                self._ask(later)
        return future.result()

    def _groups(self, spans: Sequence[range]) -> Index:
        """The row groups with a bag in one of the spans, ascending."""
        held = [span for span in spans if span]
        first, last = (self.bags.groups_of(np.array([span[at] for span in held], dtype=np.int64)) for at in (0, -1))
        at = np.searchsorted(first, self._filled, side="right") - 1  # the last span that begins at or before a group
        return self._filled[(at >= 0) & (self._filled <= last[at])] if held else self._filled[:0]

    def _ask(self, number: int) -> Future[HeldRowGroups]:
        for kept in (self._held, self._passing):
            if number in kept:
                if kept[number].done() and kept[number].exception():  # what failed is tried again
                    kept[number] = self._decoder.submit(self._load, number)
                return kept[number]
        future, size = self._decoder.submit(self._load, number), self._size(number)
        if size <= self._room:
            self._room -= size
            self._held[number] = future
        else:
            self._passing[number] = future
        return future

    def _size(self, number: int) -> int:
        manifest = self.bags.manifest
        group = manifest.group(manifest.groups[number])
        return held_bytes(manifest.payload, group)

    def _load(self, number: int) -> HeldRowGroups:
        manifest = self.bags.manifest
        place = manifest.groups[number]
        chunk = self._cache.find(manifest.group(place))
        if chunk is None:
            chunk = self._cache.keep(manifest.group(place), self._decode(place))
        return HeldRowGroups(chunk, self.bags.rows(number))

    def _decode(self, place: tuple[int, int]) -> DecodedRowGroup:
        payload, group = self.bags.manifest.payload, self.bags.manifest.group(place)
        rows = part_rows(payload, group.rows, group.instances)
        chunk = decode(self._reader.read(place, payload.column, rows), payload, group.rows, group.instances)
        pa.default_memory_pool().release_unused()  # what was read goes back to the system
        return chunk


def split_bags(batch: BagBatch | Tensor) -> Sequence[Tensor]:
    """The bags of a batch one by one."""
    return list(batch) if isinstance(batch, Tensor) else torch.split(batch.instances, batch.sizes.tolist())


def require_room(bags: "TableBags", budget: DecodingBudget) -> int:
    """What row groups take that pass by, in bytes; raises BadInput where the budget is less."""
    needed = passing_bytes(bags)
    if needed > budget.memory_bytes:
        raise BadInput(
            f"a budget of {budget.memory_bytes / 2**20:.0f} MiB for decoded bags",
            f"{needed / 2**20:.0f} at least, for row groups of this size",
            "raise --set fleet.pool_mb, or build the table with a smaller group_mb",
        )
    return needed


def least_budget(bags: "TableBags", disk_bytes: int = 8 << 30) -> DecodingBudget:
    """Enough memory to read bags with, and room on disk for the rest."""
    return DecodingBudget(passing_bytes(bags), disk_bytes)


def passing_bytes(bags: "TableBags") -> int:
    """Memory for the row groups that aren't held: those decoded, and one as it is read and taken apart.

    Where bags are views, the instance table is held whole besides.
    """
    payload, groups = bags.manifest.payload, [group for file in bags.manifest.files for group in file.groups]
    largest = max(held_bytes(payload, group) for group in groups)
    reading = max(group.size_bytes for group in groups) + _READING_BYTES + working_bytes(payload)
    return (_PASSING + 1) * largest + reading + (0 if bags.images is None else whole_bytes(bags.images))


def whole_bytes(bags: "TableBags") -> int:
    """Memory for all bags of a table, whose row groups are held once they are decoded."""
    manifest = bags.manifest
    return passing_bytes(bags) + sum(held_bytes(manifest.payload, manifest.group(place)) for place in manifest.groups)


def _whole(images: "TableBags", budget: DecodingBudget) -> DecodingBudget:
    return DecodingBudget(whole_bytes(images), budget.disk_bytes)


def held_bytes(payload: Payload, group: RowGroup) -> int:
    """What a row group takes in memory: its numbers, and a number for each of its bags."""
    return decoded_bytes(payload, group.rows, group.instances) + 8 * group.rows
