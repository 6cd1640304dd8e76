"""One pass of a model over blocks of a part: how a block is read, computed, and made an `Embedded` of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Array, Index
from negsift.common.data.bagset import BagSet, Batch
from negsift.common.errors import BadModel
from negsift.common.instance_features import InstanceFeatures
from negsift.common.models.embed import EmbeddedTensors, embedded_of, to_numpy
from negsift.common.types import Embedded, EmbeddingSpec, Need
from negsift.service.pool.blocks import Part
from negsift.service.pool.shard_data import ShardData
from negsift.service.scoring.device_pipeline import BlockSteps, Ready
from negsift.service.scoring.memory_limiter import SMALLER_BLOCK
from negsift.service.scoring.model_runner import ModelRunner


@dataclass(frozen=True)
class BlockPass:
    """The blocks of `part` with what `spec` asks for. `known` are the features of the pool's instances, if each was
    encoded once. `kept` gives a block that is kept, and `keep` takes each new one.
    """

    data: ShardData
    runner: ModelRunner
    part: Part
    spec: EmbeddingSpec
    known: InstanceFeatures | None
    kept: Callable[[int], Embedded | None]
    keep: Callable[[int, Embedded], None]

    @property
    def steps(self) -> BlockSteps[Embedded]:
        """The steps for a pipeline."""
        return BlockSteps(self.read, self.forward, self.finish, self.name, SMALLER_BLOCK, self.runner.forget)

    def embed(self, block: int) -> Embedded:
        """One block after another step, in this thread. Raises BadModel if the model gives fewer than two logits."""
        kept = self.kept(block)
        if kept is not None:
            return kept
        index = self._index(block)
        batch = self._read(block, index)
        if isinstance(batch, Ready):
            return batch.value
        result = self._forward(block, index, None if batch is None else self.runner.to_device(batch))
        if isinstance(result, Ready):
            return result.value
        return self._checked(block, embedded_of(index, [to_numpy(part) for part in result]))

    def read(self, block: int) -> Batch | Ready[Embedded] | None:
        """The block's bags, or its instances' features; None where the runner keeps those; or a result that is kept."""
        kept = self.kept(block)
        return Ready(kept) if kept is not None else self._read(block, self._index(block))

    def forward(self, block: int, batch: Batch | None) -> Sequence[Tensor] | Ready[Embedded]:
        """Ask the device for the block's embeddings; `batch` is there."""
        return self._forward(block, self._index(block), batch)

    def finish(self, block: int, arrays: Sequence[Array]) -> Embedded:
        """The embeddings that came back, which are kept."""
        return self._checked(block, embedded_of(self._index(block), arrays))

    def name(self, block: int) -> str:
        """What a block is called in messages."""
        return f"block {block} of the {self.part} ({len(self._index(block))} bags)"

    def _read(self, block: int, index: Index) -> Batch | Ready[Embedded] | None:
        if self.spec.need == Need.NOTHING:
            empty = np.zeros((len(index), 0), dtype=np.float32)
            return Ready(Embedded(index, empty, empty))
        if self._shared is not None and self.known is not None:
            return torch.from_numpy(self.known.at(self._shared.rows_of(index)))
        return self.runner.read((self.part, block), lambda: self.data.source(self.part).batch(index))

    def _forward(self, block: int, index: Index, batch: Batch | None) -> Sequence[Tensor] | Ready[Embedded]:
        if self._shared is not None and isinstance(batch, Tensor):
            return self.runner.pool_known(batch, self._shared.sizes_of(index), self.spec).parts
        if batch is None and not self.runner.has((self.part, block)):  # forgotten meanwhile, for want of memory
            batch = self.runner.to_device(self.data.source(self.part).batch(index))
        embedded = self.runner.embed(batch, index, self.spec, (self.part, block))
        return embedded.parts if isinstance(embedded, EmbeddedTensors) else Ready(self._checked(block, embedded))

    @property
    def _shared(self) -> BagSet | None:
        """The bags as views of instances whose features are known, if they are."""
        use = self.known is not None and self.part == "pool"
        return self.data.source(self.part).shared_instances if use else None

    def _index(self, block: int) -> Index:
        return self.data.block_index(self.part, block)

    def _checked(self, block: int, embedded: Embedded) -> Embedded:
        require_classes(embedded)
        self.keep(block, embedded)
        return embedded


def require_classes(embedded: Embedded) -> None:
    """Raise BadModel for fewer than two logits a bag."""
    if embedded.logits.shape[1] < 2:
        raise BadModel(f"{embedded.logits.shape[1]} logits a bag", "two or more", "give the head two classes")
