"""Decodes the bags of a table within a memory budget: row groups that fit stay in memory, the others come and go.

A shard asks for its bags by ascending position, so the next row group is known. One thread decodes it while
the current one is scored.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch
from negsift.common.data.table.decoded_row_group import DecodedRowGroup, Values, decode, part_rows
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.memory_use import require_budget, row_group_bytes, whole_table_bytes
from negsift.common.data.table.reader import RowGroupReader
from negsift.common.data.table.row_group_cache import RowGroupCache
from negsift.common.data.table.row_index import RowIndex


@dataclass(frozen=True)
class LoadedRowGroup:
    """A row group in memory: its decoded bags, and the rows (n,) of those that the stream's index selects."""

    decoded: DecodedRowGroup
    rows: Index


class RowGroupStream:
    """The bags at `span` of positions, for threads that ask for runs of them in ascending order. With an empty span any
    bags may be asked for, and nothing is read ahead until `expect` names what comes.
    """

    def __init__(self, row_index: RowIndex, span: range, budget: DecodingBudget) -> None:
        """Raises BadInput for a budget that is too small to decode one row group after another."""
        self.row_index, self.budget = row_index, budget
        self.resident: dict[int, Future[LoadedRowGroup]] = {}
        self.transient: dict[int, Future[LoadedRowGroup]] = {}
        self._filled = np.flatnonzero(np.diff(row_index.starts))  # the row groups with a selected row
        self._order = self._groups_in([span] if span else [])
        self._free_bytes = budget.memory_bytes - require_budget(row_index, budget)
        self._reader = RowGroupReader(row_index.location, row_index.manifest)
        images = row_index.images  # once decoded, all row groups of the instance table stay in memory
        whole = None if images is None else DecodingBudget(whole_table_bytes(images), budget.disk_bytes)
        self.images = RowGroupStream(images, range(0), whole) if images and whole else None
        self._cache = RowGroupCache(row_index.manifest.payload, budget.disk_bytes)
        self._lock = threading.Lock()
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="negsift-decode")

    def __len__(self) -> int:
        return len(self.row_index)

    def __getitem__(self, position: int) -> Tensor:
        """The bag at a position."""
        return split_bags(self.gather(np.array([position])))[0]

    def expect(self, spans: Sequence[range]) -> None:
        """Announce the ascending runs of positions that follow; only their row groups are read ahead."""
        with self._lock:
            self._order = self._groups_in(spans)

    def gather(self, index: Index) -> BagBatch | Tensor:
        """The bags at ascending positions, end to end; clips as a tensor (n, frames, mels)."""
        groups = self.row_index.groups_of(index)
        parts = [self._gather_from(int(group), index[groups == group]) for group in np.unique(groups)]
        values = np.concatenate([values for values, _ in parts]) if len(parts) > 1 else parts[0][0]
        bags = torch.from_numpy(values) if self.images is None else self.images.gather_instances(values)
        clips = self.row_index.manifest.payload.sound
        return bags if clips else BagBatch(bags, np.concatenate([sizes for _, sizes in parts]))

    def gather_instances(self, rows: Index) -> Tensor:
        """The bags of one instance each at any positions, end to end; a repeated position is gathered once."""
        distinct, place = np.unique(rows, return_inverse=True)
        batch = self.gather(distinct)
        instances = batch if isinstance(batch, Tensor) else batch.instances
        return instances[torch.from_numpy(place)]

    def _gather_from(self, number: int, index: Index) -> tuple[Values, Index]:
        group = self._fetch(number)
        rows = group.rows[index - self.row_index.starts[number]]
        return group.decoded.gather(rows, self.row_index.manifest.payload.output_dtype)

    def _fetch(self, number: int) -> LoadedRowGroup:
        """Row group `number`, once it is decoded; the next one of `_order` is decoded meanwhile."""
        with self._lock:
            rank = int(np.searchsorted(self._order, number))
            near = {number, *self._order[max(rank - 1, 0) : rank + 2].tolist()}
            future = self._request(number)
            self.transient = {group: loading for group, loading in self.transient.items() if group in near}
            if number in self._order[rank : rank + 1]:
                # Only one: each further row group would take more memory.
                for following in self._order[rank + 1 : rank + 2].tolist():
                    self._request(following)
        return future.result()

    def _groups_in(self, spans: Sequence[range]) -> Index:
        """The row groups with a position in one of the spans, ascending."""
        spans = [span for span in spans if span]
        if not spans:
            return self._filled[:0]
        first = self.row_index.groups_of(np.array([span[0] for span in spans], dtype=np.int64))
        last = self.row_index.groups_of(np.array([span[-1] for span in spans], dtype=np.int64))
        span_of = np.searchsorted(first, self._filled, side="right") - 1  # the last span that begins in time
        return self._filled[(span_of >= 0) & (self._filled <= last[span_of])]

    def _request(self, number: int) -> Future[LoadedRowGroup]:
        for groups in (self.resident, self.transient):
            if number in groups:
                if groups[number].done() and groups[number].exception():  # a repaired file can be read again
                    groups[number] = self._decoder.submit(self._load, number)
                return groups[number]
        manifest = self.row_index.manifest
        size = row_group_bytes(manifest.payload, manifest.group(manifest.groups[number]))
        future = self._decoder.submit(self._load, number)
        if size <= self._free_bytes:
            self._free_bytes -= size
            self.resident[number] = future
        else:
            self.transient[number] = future
        return future

    def _load(self, number: int) -> LoadedRowGroup:
        manifest = self.row_index.manifest
        place = manifest.groups[number]
        decoded = self._cache.find(manifest.group(place))
        if decoded is None:
            decoded = self._cache.keep(manifest.group(place), self._decode(place))
        return LoadedRowGroup(decoded, self.row_index.rows(number))

    def _decode(self, place: tuple[int, int]) -> DecodedRowGroup:
        payload, group = self.row_index.manifest.payload, self.row_index.manifest.group(place)
        rows = part_rows(payload, group.rows, group.instances)
        decoded = decode(self._reader.read(place, payload.column, rows), payload, group.rows, group.instances)
        pa.default_memory_pool().release_unused()  # Arrow would keep the encoded bytes beyond the budget
        return decoded


def split_bags(batch: BagBatch | Tensor) -> Sequence[Tensor]:
    """The bags of a batch one by one."""
    return list(batch) if isinstance(batch, Tensor) else torch.split(batch.instances, batch.sizes.tolist())
