"""Blocks embedded with the weights of the call, and kept within a budget until other weights come.

A block is always embedded as one batch and on one thread, so its numbers don't depend on which
shard holds it, on how many threads work, or on what was embedded before.
"""

import copy
import threading

import numpy as np

from negsift.common.errors import BadModel
from negsift.common.types import Embedded, EmbeddingSpec, Need, Snapshot
from negsift.service.pool.blocks import block_index
from negsift.service.pool.shard_data import Part, ShardData
from negsift.service.scoring.byte_limited_cache import ByteLimitedCache
from negsift.service.scoring.memory_limiter import MemoryLimiter
from negsift.service.scoring.model_runner import ModelRunner

_LAYER = "embedded"


class BlockEmbedder:
    """What one shard holds, embedded."""

    def __init__(self, holding: ShardData, forward: ModelRunner, kept: ByteLimitedCache) -> None:
        self.holding, self.forward, self.kept, self.room = holding, forward, kept, MemoryLimiter()
        self._digest, self._lock = "", threading.Lock()

    def standing_in(self, holding: ShardData) -> "BlockEmbedder":
        """Other blocks with the same weights; of these nothing is kept."""
        other = copy.copy(self)
        other.holding, other.kept, other._lock = holding, ByteLimitedCache(0), threading.Lock()
        return other

    def load(self, snapshot: Snapshot) -> bool:
        """Take these weights and their version of the pool; whether they are others than before."""
        with self._lock:
            if snapshot.digest == self._digest:
                return False
            self.forward.load(snapshot)
            self.holding = self.holding.at(snapshot.pool_version)
            self.kept.forget(_LAYER)
            self._digest = snapshot.digest
            return True

    def block(self, snapshot: Snapshot, part: Part, block: int, ask: EmbeddingSpec, keep: bool = True) -> Embedded:
        """One block of a part."""
        self.load(snapshot)
        kept = self._find(part, block, ask)
        if kept is not None:
            return kept
        index = block_index(block, self.holding.block, len(self.holding.source(part)))
        told = f"block {block} of the {part} ({len(index)} bags)"
        embedded = self.room.fit(lambda: self._embed(snapshot, part, block, ask), told)
        if keep:
            self.kept.keep(_LAYER, (part, block, _depth(ask)), embedded, embedded.size_bytes)
        return embedded

    def _find(self, part: Part, block: int, ask: EmbeddingSpec) -> Embedded | None:
        """A kept embedding that says as much as is asked; one with gradients serves those who ask for none."""
        found: Embedded | None = self.kept.find(_LAYER, (part, block, _depth(ask)))
        if found is not None or not Need.NOTHING < ask.need < Need.GRADIENT:
            return found
        asks = (EmbeddingSpec(Need.GRADIENT, label, ask.target) for label in ("pseudo", "known"))
        deep = (self.kept.find(_LAYER, (part, block, deeper)) for deeper in asks)
        return next((Embedded(one.index, one.logits, one.features) for one in deep if one is not None), None)

    def _embed(self, snapshot: Snapshot, part: Part, block: int, ask: EmbeddingSpec) -> Embedded:
        source = self.holding.source(part)
        index = block_index(block, self.holding.block, len(source))
        if ask.need == Need.NOTHING:
            nothing = np.zeros((len(index), 0), dtype=np.float32)
            return Embedded(index, nothing, nothing)
        if snapshot.features is not None and part == "pool":
            embedded = self.forward.embed_shared(source, index, ask, snapshot.features)
        else:
            embedded = self.forward.embed(source, index, ask, (part, block))
        if embedded.logits.shape[1] < 2:
            raise BadModel(f"{embedded.logits.shape[1]} logits a bag", "two or more", "give the head two classes")
        return embedded


def _depth(ask: EmbeddingSpec) -> EmbeddingSpec:
    """What is computed for an ask: logits and features come together, whatever the target is."""
    return EmbeddingSpec(Need.FEATURES) if Need.NOTHING < ask.need < Need.GRADIENT else ask
