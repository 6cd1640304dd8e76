"""The model as a shard runs it: weights loaded, bags brought to the device, the backbone, then the head."""

from collections.abc import Callable, Hashable, Iterator

import torch
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch, Batch
from negsift.common.data.reused_buffer import ReusedBuffer
from negsift.common.models.adapt import AdaptedModule
from negsift.common.models.bag import BagClassifier
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.embed import EmbeddedTensors, EncodedBags
from negsift.common.models.embedder import Embedder
from negsift.common.types import Embedded, EmbeddingSpec, Snapshot
from negsift.common.weights import load_snapshot, weights_digest
from negsift.service.pool.bag_source import BagSource
from negsift.service.scoring.batch_device import to_device
from negsift.service.scoring.byte_limited_cache import ByteBudget, ByteLimitedCache
from negsift.service.scoring.model_layout import prepare_model
from negsift.service.scoring.resident_batches import ResidentBatches
from negsift.service.scoring.scoring_config import ScoringConfig

_READ = 8
"""Blocks of an array that are read at once."""
_EMBEDS = (BagClassifier.embed, ClipClassifier.embed, AdaptedModule.embed)


class ModelRunner:
    """One shard's own copy of the model. With `frozen` the backbone's features are kept within `budget`. `on_device` is
    the budget of a device that has memory of its own: for those features, and with `resident` for batches.
    """

    def __init__(
        self, model: Embedder, config: ScoringConfig, budget: ByteBudget, on_device: ByteBudget | None = None
    ) -> None:
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self._model, self._config = prepare_model(model.eval(), config), config
        self._features = ByteLimitedCache[EncodedBags](on_device or budget)
        self._batches = ResidentBatches(on_device if config.resident and not config.frozen else None)
        self._backbone, self._pool_version, self._buffer = "", 0, ReusedBuffer()

    def load(self, snapshot: Snapshot) -> None:
        """Load these weights; kept features stay if only the head's weights changed, batches if the pool did not."""
        snapshot = load_snapshot(self._model, snapshot)
        if snapshot.pool_version != self._pool_version:
            self._batches.clear()
            self._pool_version = snapshot.pool_version
        backbone = backbone_digest(self._model, snapshot) if self._config.frozen else ""
        if backbone != self._backbone:
            self._features.clear()
            self._backbone = backbone

    def forget(self) -> None:
        """Forget the kept features and batches."""
        self._features.clear()
        self._batches.clear()

    def read(self, key: Hashable, read: Callable[[], Batch]) -> Batch | None:
        """What `read` gives, a whole block, which `key` identifies; None where it or its features are kept."""
        return None if self.has(key) else read()

    def has(self, key: Hashable) -> bool:
        """Whether a block, or its features, are kept."""
        return self._batches.has(key) or (self._config.frozen and self._features.get(key) is not None)

    def to_device(self, batch: Batch) -> Batch:
        """The batch where the model is."""
        return to_device(batch, self.device, self._config)

    def embed(
        self, batch: Batch | None, index: Index, spec: EmbeddingSpec, key: Hashable
    ) -> EmbeddedTensors | Embedded:
        """The embeddings of a block that was `read` and is on the device, left there; those of a model whose `embed` is
        its own come back at once.
        """
        with torch.inference_mode():
            if self._config.split:
                return self._model.answer(self._cached(key, batch, len(index)), spec)
            present = self._batches.present(key, batch)
            if self._has_own_embed:
                return self._model.embed(present, index, spec)
            return self._model.embed_on_device(present, len(index), spec)

    def embed_blocks(self, source: BagSource, index: Index, block: int, spec: EmbeddingSpec) -> Embedded:
        """The embeddings of the bags at `index`, in whole blocks of `block`, of a source that it takes so."""
        assert isinstance(self._model, AdaptedModule)
        with torch.inference_mode():
            return self._model.embed_batches(self._read_blocks(source, index, block), spec).embedded(index)

    def takes_blocks(self, source: BagSource) -> bool:
        """Whether it takes this source as blocks of one array, by `embed_blocks`."""
        is_plain = isinstance(self._model, AdaptedModule) and not self._has_own_embed and self.device.type == "cpu"
        return is_plain and source.is_array and not self._config.split

    def _read_blocks(self, source: BagSource, index: Index, block: int) -> Iterator[Tensor]:
        """Block after block, read several at a time."""
        for start in range(0, len(index), _READ * block):
            bags = self.to_device(source.copy_into(self._buffer, index[start : start + _READ * block]))
            assert isinstance(bags, Tensor)
            yield from torch.split(bags, block)

    def pool_known(self, feats_MD: Tensor, sizes: Index, spec: EmbeddingSpec) -> EmbeddedTensors:
        """The embeddings of bags of these sizes, whose instances' features are known and on the device."""
        assert isinstance(self._model, BagClassifier)  # no other model's instances are encoded by themselves
        with torch.inference_mode():
            return self._model.pool(feats_MD, sizes, spec)

    def features(self, images: BagBatch | None, count: int, key: Hashable) -> Tensor:
        """The features (n, D) of `count` single instances, each a bag, that were `read` and are on the device."""
        with torch.inference_mode():
            return self._cached(key, images, count).features

    def _encode(self, batch: Batch, count: int) -> EncodedBags:
        half = self._config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return self._model.encode(batch, count).wide()

    def _cached(self, key: Hashable, batch: Batch | None, count: int) -> EncodedBags:
        encoded = self._features.get(key) if self._config.frozen else None
        if encoded is None:
            encoded = self._encode(self._batches.present(key, batch), count)
            if self._config.frozen:
                self._features.put(key, encoded)
        return encoded

    @property
    def _has_own_embed(self) -> bool:
        """Whether a subclass of our classifiers embeds in another way."""
        return type(self._model).embed not in _EMBEDS


def backbone_digest(model: Embedder, snapshot: Snapshot) -> str:
    """A digest of all weights that features depend on, and of the pool's version."""
    after_features = (f"{model.head_name}.",) if isinstance(model, AdaptedModule) else ("head.", "pooling.")
    backbone = {name: array for name, array in snapshot.weights.items() if not name.startswith(after_features)}
    return f"{weights_digest(backbone)}@{snapshot.pool_version}"
