"""The model as a shard runs it: weights loaded, bags brought to the device, the backbone, then the head."""

from collections.abc import Callable, Hashable

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Array, Index
from negsift.common.data.bagset import BagBatch, BagSet, Batch
from negsift.common.models.adapt import AdaptedModule
from negsift.common.models.bag import BagClassifier
from negsift.common.models.embed import EncodedBags, to_numpy
from negsift.common.models.embedder import Embedder
from negsift.common.types import Embedded, EmbeddingSpec, InstanceFeatures, Snapshot
from negsift.common.weights import load_snapshot, weights_digest
from negsift.service.pool.bag_source import BagSource
from negsift.service.scoring.batch_device import to_device
from negsift.service.scoring.byte_limited_cache import ByteBudget, ByteLimitedCache
from negsift.service.scoring.model_layout import prepare_model
from negsift.service.scoring.scoring_config import ScoringConfig


class ModelRunner:
    """One shard's own copy of the model. With `frozen` the backbone's features are kept within `budget`."""

    def __init__(self, model: Embedder, config: ScoringConfig, budget: ByteBudget) -> None:
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self._model, self._config = prepare_model(model.eval(), config), config
        self._features = ByteLimitedCache[EncodedBags](budget)
        self._backbone = ""

    def load(self, snapshot: Snapshot) -> None:
        """Load these weights; kept features stay if only the head's weights changed."""
        snapshot = load_snapshot(self._model, snapshot)
        backbone = backbone_digest(self._model, snapshot) if self._config.frozen else ""
        if backbone != self._backbone:
            self._features.clear()
            self._backbone = backbone

    def forget(self) -> None:
        """Forget the kept features."""
        self._features.clear()

    def embed(self, source: BagSource, index: Index, spec: EmbeddingSpec, key: Hashable) -> Embedded:
        """The embeddings of the source's bags at `index`, a whole block, which `key` identifies."""
        with torch.inference_mode():
            if not self._config.split:
                return self._model.embed(to_device(source.batch(index), self.device, self._config), index, spec)
            encoded = self._cached(key, lambda: self._encode(source.batch(index), len(index)))
            return self._model.answer(encoded, index, spec)

    def embed_known(self, bags: BagSet, index: Index, spec: EmbeddingSpec, known: InstanceFeatures) -> Embedded:
        """The embeddings of bags whose instances' features are known."""
        assert isinstance(self._model, BagClassifier)  # no other model's instances are encoded by themselves
        feats_MD = torch.from_numpy(known.at(bags.rows_of(index))).to(self.device)
        with torch.inference_mode():
            return self._model.pool(feats_MD, bags.sizes_of(index), index, spec)

    def features(self, images: Tensor, key: Hashable) -> Array:
        """The features (n, D) of single instances, which `key` identifies."""
        sizes = np.ones(len(images), dtype=np.int64)
        with torch.inference_mode():
            return to_numpy(self._cached(key, lambda: self._encode(BagBatch(images, sizes), len(images))).features)

    def _encode(self, batch: Batch, count: int) -> EncodedBags:
        on_device, half = to_device(batch, self.device, self._config), self._config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return self._model.encode(on_device, count).wide()

    def _cached(self, key: Hashable, make: Callable[[], EncodedBags]) -> EncodedBags:
        if not self._config.frozen:
            return make()
        encoded = self._features.get(key)
        if encoded is None:
            encoded = make()
            self._features.put(key, encoded)
        return encoded


def backbone_digest(model: Embedder, snapshot: Snapshot) -> str:
    """A digest of all weights that features depend on, and of the pool's version."""
    after_features = (f"{model.head_name}.",) if isinstance(model, AdaptedModule) else ("head.", "pooling.")
    backbone = {name: array for name, array in snapshot.weights.items() if not name.startswith(after_features)}
    return f"{weights_digest(backbone)}@{snapshot.pool_version}"
