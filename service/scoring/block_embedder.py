"""Blocks embedded with the weights of the call, and kept within a budget until other weights come.

A block is always one batch, on a CPU on one thread, so its numbers don't depend on its shard, nor on what else is
embedded.
"""

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np

from negsift.common.arrays import Index
from negsift.common.instance_features import InstanceFeatures
from negsift.common.types import Embedded, EmbeddingSpec, Need, Snapshot
from negsift.service.pool.blocks import Part
from negsift.service.pool.shard_data import ShardData
from negsift.service.scoring.block_map import map_blocks
from negsift.service.scoring.block_pass import BlockPass, require_classes
from negsift.service.scoring.byte_limited_cache import ByteBudget, ByteLimitedCache
from negsift.service.scoring.device_pipeline import DevicePipeline
from negsift.service.scoring.instance_pass import InstancePass
from negsift.service.scoring.memory_limiter import MemoryLimiter
from negsift.service.scoring.model_runner import ModelRunner

T = TypeVar("T")


class BlockEmbedder:
    """Embeds the blocks of one shard's `data`."""

    def __init__(
        self, data: ShardData, runner: ModelRunner, budget: ByteBudget, threads: Executor,
        pipeline: DevicePipeline | None = None,
    ) -> None:  # fmt: skip
        """`threads` embed a block each, or read blocks for the `pipeline` of a device."""
        self.data, self.runner, self.budget = data, runner, budget
        self._threads, self._pipeline = threads, pipeline
        self._embedded = ByteLimitedCache[Embedded](budget)
        self._limiter = MemoryLimiter()
        self._digest, self._lock = "", threading.Lock()
        self.embedded = 0
        """Bags that went through the model so far."""

    def for_data(self, data: ShardData) -> "BlockEmbedder":
        """An embedder of other blocks with the same weights, which keeps nothing."""
        other = copy.copy(self)
        other.data, other.budget, other._lock = data, ByteBudget(0), threading.Lock()
        other._embedded = ByteLimitedCache(other.budget)
        return other

    def load(self, snapshot: Snapshot) -> bool:
        """Take these weights and their version of the pool; gives whether they differ from the last ones."""
        with self._lock:
            if snapshot.digest == self._digest:
                return False
            self.runner.load(snapshot)
            self.data = self.data.at(snapshot.pool_version)
            self._embedded.clear()
            self._digest = snapshot.digest
            return True

    def forget(self) -> None:
        """Forget all kept embeddings and features."""
        self._embedded.clear()
        self.runner.forget()

    def block(self, snapshot: Snapshot, part: Part, block: int, spec: EmbeddingSpec, *, keep: bool = True) -> Embedded:
        """The embedding of one block; raises BadModel if the model gives fewer than two logits a bag."""
        self.load(snapshot)
        one_pass = self._pass(snapshot, part, spec, keep)
        if self._pipeline is not None:  # which alone computes on a device as all blocks are to be computed
            (embedded,) = self._pipeline.run([block], one_pass.steps, self.data.share)
            return embedded
        return self._embed(one_pass, block)

    def blocks(
        self, snapshot: Snapshot, part: Part, blocks: Sequence[int], spec: EmbeddingSpec, then: Callable[[Embedded], T],
        *, keep: bool = True,
    ) -> Iterator[T]:  # fmt: skip
        """`then` of the embedding of each block, in order; a block is as by `block`."""
        self.load(snapshot)
        one_pass = self._pass(snapshot, part, spec, keep)
        if self._pipeline is not None:
            return map(then, self._pipeline.run(blocks, one_pass.steps, self.data.share))

        return map_blocks(self._threads, lambda block: then(self._embed(one_pass, block)), blocks, self.data.share)

    def runs(
        self, snapshot: Snapshot, blocks: Sequence[int], spec: EmbeddingSpec, then: Callable[[Sequence[Embedded]], T],
        *, keep: bool = True,
    ) -> Iterator[T]:  # fmt: skip
        """`then` of the embeddings of some blocks of the pool at a time, in order; see `ShardData.runs`."""
        self.load(snapshot)
        if self._pipeline is not None:
            return self.blocks(snapshot, "pool", blocks, spec, lambda embedded: then([embedded]), keep=keep)
        runs, one_pass = self.data.runs(blocks), self._pass(snapshot, "pool", spec, keep)
        return map_blocks(self._threads, lambda run: then(self._run(one_pass, run)), runs, self.data.share)

    def _run(self, one_pass: BlockPass, run: Sequence[int]) -> Sequence[Embedded]:
        """The embeddings of some blocks, those of parts of an array in memory read at once; where only logits are asked
        for, all as one.
        """
        spec = one_pass.spec
        if len(run) == 1 or spec.need == Need.NOTHING or not self.runner.takes_blocks(self.data.pool):
            return [self._embed(one_pass, block) for block in run]  # in this thread, which is one of a run's
        if spec.need == Need.LOGITS:
            return [self._logits(run, spec)]
        kept = [embedded for block in run if (embedded := one_pass.kept(block)) is not None]
        if len(kept) == len(run):
            return kept
        parts = single_blocks([self._embed_run(run, spec)], self.data.block)
        for block, part in zip(run, parts, strict=True):
            one_pass.keep(block, part)
        return parts

    def _logits(self, run: Sequence[int], spec: EmbeddingSpec) -> Embedded:
        key = "pool", tuple(run), _computed(spec)
        kept = self._embedded.get(key)
        if kept is None:
            kept = self._embed_run(run, spec)
            with self._lock:
                self.embedded += len(kept.index)
            self._embedded.put(key, kept)
        return kept

    def _embed_run(self, run: Sequence[int], spec: EmbeddingSpec) -> Embedded:
        """Some blocks of an array in memory as one; raises BadModel as `block` does."""
        index = self.data.run_index(run)
        name = f"blocks {run[0]} to {run[-1]} of the pool ({len(index)} bags)"
        pool, block = self.data.pool, self.data.block
        embedded = self._limiter.run(lambda: self.runner.embed_blocks(pool, index, block, spec), lambda: name)
        require_classes(embedded)
        return embedded

    def _embed(self, one_pass: BlockPass, block: int) -> Embedded:
        return self._limiter.run(lambda: one_pass.embed(block), lambda: one_pass.name(block))

    def instances(self, bags: Index) -> InstanceFeatures:
        """The features of this shard's share of the distinct instances in `bags`, positions in the whole pool."""
        pool = self.data.pool.shared_instances
        assert pool is not None  # else no one asks for instances
        runs = InstancePass(pool, np.unique(pool.rows_of(bags)), self.runner)
        own = runs.share(self.data.share)
        if self._pipeline is not None:
            return InstanceFeatures.merge(list(self._pipeline.run(own, runs.steps, self.data.share)))

        def encode(run: int) -> InstanceFeatures:
            return self._limiter.run(lambda: runs.encode(run), lambda: runs.name(run), "")

        return InstanceFeatures.merge(list(self._threads.map(encode, own)))

    def _pass(self, snapshot: Snapshot, part: Part, spec: EmbeddingSpec, keep: bool) -> BlockPass:
        def take(block: int, embedded: Embedded) -> None:
            with self._lock:
                self.embedded += len(embedded.index)
            if keep:
                self._embedded.put((part, block, _computed(spec)), embedded)

        def kept(block: int) -> Embedded | None:
            return self._cached(part, block, spec)

        return BlockPass(self.data, self.runner, part, spec, snapshot.features, kept, take)

    def _cached(self, part: Part, block: int, spec: EmbeddingSpec) -> Embedded | None:
        """A kept embedding that holds what `spec` asks for; one with gradients also serves specs without."""
        embedded = self._embedded.get((part, block, _computed(spec)))
        if embedded is not None and spec.need == Need.FEATURES and not embedded.features.shape[1]:
            embedded = None
        if embedded is not None or not Need.NOTHING < spec.need < Need.GRADIENT:
            return embedded
        for label in ("pseudo", "known"):
            deeper = self._embedded.get((part, block, EmbeddingSpec(Need.GRADIENT, label, spec.target)))
            if deeper is not None:
                return Embedded(deeper.index, deeper.logits, deeper.features)
        return None


def single_blocks(parts: Sequence[Embedded], block: int) -> Sequence[Embedded]:
    """The parts that `runs` gave, cut into blocks of `block` bags without a copy; the last one may be smaller."""
    starts = [(part, start) for part in parts for start in range(0, len(part.index), block)]
    return [part if len(part.index) <= block else part.take(slice(start, start + block)) for part, start in starts]


def _computed(spec: EmbeddingSpec) -> EmbeddingSpec:
    """What is computed for a spec: most models give features with the logits, whatever the target is."""
    return EmbeddingSpec(Need.FEATURES) if Need.NOTHING < spec.need < Need.GRADIENT else spec
