"""The shards of this process, each on one of its devices, with a copy of the model for each device."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from negsift.common.models.copying import on_device
from negsift.common.threads import block_workers
from negsift.service.scoring.block_probe import device_block
from negsift.service.scoring.device_pipeline import READERS
from negsift.service.scoring.shard import Shard
from negsift.service.scoring.shard_spec import ShardSpec

T = TypeVar("T")


class AskedShards:
    """Shards of one device, which are asked one after another."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = shards

    def __len__(self) -> int:
        return len(self.shards)

    def each(self, work: Callable[[Shard], T]) -> list[T]:
        """`work` of every shard, in the order of their numbers."""
        return [work(shard) for shard in self.shards]


class LocalShards(AskedShards):
    """Shard i is on device i modulo their number, and those of one device share its model and threads."""

    def __init__(self, spec: ShardSpec, devices: Sequence[torch.device], probe: bool) -> None:
        """With `probe` blocks are as large as all devices allow."""
        self.devices = devices[: spec.shards]
        self._models = [on_device(spec.new_model(), device) for device in self.devices]
        cores = len(os.sched_getaffinity(0))
        readers = min(READERS, max(2, cores // len(self.devices)))
        self._workers = [block_workers(readers if device.type == "cuda" else cores) for device in self.devices]
        self._askers = ThreadPoolExecutor(len(self.devices), thread_name_prefix="negsift-device")
        if probe:
            pairs = zip(self._models, self.devices, strict=True)
            spec = dataclasses.replace(spec, block=min(device_block(spec, model, device) for model, device in pairs))
        self.spec = spec
        super().__init__(self._made(spec))

    @property
    def place(self) -> str:
        """The devices, for messages."""
        first, more = self.devices[0], len(self.devices) - 1
        return f"{first} to {self.devices[-1]}" if more else str(first)

    def each(self, work: Callable[[Shard], T]) -> list[T]:
        """`work` of every shard, in the order of their numbers; devices work side by side.

        Raises what goes wrong first in that order, once no device works any more.
        """
        count = len(self.devices)
        if count == 1:
            return super().each(work)

        def of_device(number: int) -> list[T]:
            return [work(shard) for shard in self.shards[number::count]]

        answers = [self._askers.submit(of_device, number) for number in range(count)]
        wait(answers)
        by_device = [answer.result() for answer in answers]
        return [by_device[number % count][number // count] for number in range(len(self.shards))]

    def rebuild(self, block: int) -> None:
        """Make the shards again, with so many bags in a block; nothing that they kept stays."""
        self.shards = []  # frees their memory before the next ones take theirs
        self.spec = dataclasses.replace(self.spec, block=block)
        self.shards = self._made(self.spec)

    def give_up(self) -> None:
        """Begin no more blocks."""
        for workers in self._workers:
            workers.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End the threads, after the blocks that they work on."""
        for threads in (*self._workers, self._askers):
            threads.shutdown()

    def _made(self, spec: ShardSpec) -> list[Shard]:
        places = [number % len(self.devices) for number in range(spec.shards)]
        budgets = [spec.device_budget(device) for device in self.devices]
        return [
            spec.shard(number, self._models[at], self._workers[at], budgets[at]) for number, at in enumerate(places)
        ]
