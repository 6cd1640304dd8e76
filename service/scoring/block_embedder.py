"""Blocks embedded with the weights of the call, and kept within a budget until other weights come.

A block is always one batch on one thread, so its numbers don't depend on its shard, nor on what else is embedded.
"""

import copy
import threading
from concurrent.futures import Executor

import numpy as np

from negsift.common.arrays import Index
from negsift.common.errors import BadModel
from negsift.common.types import Embedded, EmbeddingSpec, InstanceFeatures, Need, Snapshot
from negsift.service.pool.blocks import Part, block_count, block_index, share_blocks
from negsift.service.pool.shard_data import ShardData
from negsift.service.scoring.byte_limited_cache import ByteBudget, ByteLimitedCache
from negsift.service.scoring.memory_limiter import MemoryLimiter
from negsift.service.scoring.model_runner import ModelRunner

_INSTANCES = 320
"""Instances encoded as one batch, where bags share instances; a fixed number, so that shards make no difference."""


class BlockEmbedder:
    """Embeds the blocks of one shard's `data`."""

    def __init__(self, data: ShardData, runner: ModelRunner, budget: ByteBudget) -> None:
        self.data, self.runner, self.budget = data, runner, budget
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
        cached = self._cached(part, block, spec)
        if cached is not None:
            return cached
        index = self.data.block_index(part, block)
        name = f"block {block} of the {part} ({len(index)} bags)"
        embedded = self._limiter.run(lambda: self._embed(snapshot, (part, block), index, spec), name)
        if spec.need > Need.NOTHING:
            with self._lock:
                self.embedded += len(index)
        if keep:
            self._embedded.put((part, block, _computed(spec)), embedded)
        return embedded

    def instances(self, bags: Index, threads: Executor) -> InstanceFeatures:
        """The features of this shard's share of the distinct instances in `bags`, positions in the whole pool."""
        pool = self.data.pool.shared_instances
        assert pool is not None  # else no one asks for instances
        rows, (number, shards) = np.unique(pool.rows_of(bags)), self.data.share

        def encode(run: int) -> InstanceFeatures:
            own = rows[block_index(run, _INSTANCES, len(rows))]
            name = f"run {run} of the pool's instances ({len(own)} of them)"
            images, key = pool.gather_rows(own), (run, own.tobytes())
            return InstanceFeatures(own, self._limiter.run(lambda: self.runner.features(images, key), name, ""))

        runs = share_blocks(block_count(len(rows), _INSTANCES), shards)[number]
        return InstanceFeatures.merge(list(threads.map(encode, runs)))

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

    def _embed(self, snapshot: Snapshot, key: tuple[Part, int], index: Index, spec: EmbeddingSpec) -> Embedded:
        if spec.need == Need.NOTHING:
            empty = np.zeros((len(index), 0), dtype=np.float32)
            return Embedded(index, empty, empty)
        source = self.data.source(key[0])
        bags = source.shared_instances if snapshot.features is not None and key[0] == "pool" else None
        if bags is not None and snapshot.features is not None:
            embedded = self.runner.embed_known(bags, index, spec, snapshot.features)
        else:
            embedded = self.runner.embed(source, index, spec, key)
        if embedded.logits.shape[1] < 2:
            raise BadModel(f"{embedded.logits.shape[1]} logits a bag", "two or more", "give the head two classes")
        return embedded


def _computed(spec: EmbeddingSpec) -> EmbeddingSpec:
    """What is computed for a spec: most models give features with the logits, whatever the target is."""
    return EmbeddingSpec(Need.FEATURES) if Need.NOTHING < spec.need < Need.GRADIENT else spec
