"""The model as a shard runs it: weights loaded, bags brought to the device, the backbone, then the head."""

from collections.abc import Hashable

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch, Batch
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
from negsift.service.scoring.scoring_config import ScoringConfig

_EMBEDS = (BagClassifier.embed, ClipClassifier.embed, AdaptedModule.embed)


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

    def read(self, source: BagSource, index: Index, key: Hashable) -> Batch | None:
        """The source's bags at `index`, a whole block, which `key` identifies; None where its features are kept."""
        kept = self._config.frozen and self._features.get(key) is not None
        return None if kept else source.batch(index)

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
            assert batch is not None  # `read` leaves out what is kept
            if self._has_own_embed:
                return self._model.embed(batch, index, spec)
            return self._model.embed_on_device(batch, len(index), spec)

    def pool_known(self, feats_MD: Tensor, sizes: Index, spec: EmbeddingSpec) -> EmbeddedTensors:
        """The embeddings of bags of these sizes, whose instances' features are known and on the device."""
        assert isinstance(self._model, BagClassifier)  # no other model's instances are encoded by themselves
        with torch.inference_mode():
            return self._model.pool(feats_MD, sizes, spec)

    def features(self, images: Tensor, key: Hashable) -> Tensor:
        """The features (n, D) of single instances on the device, which `key` identifies."""
        sizes = np.ones(len(images), dtype=np.int64)
        with torch.inference_mode():
            return self._cached(key, BagBatch(images, sizes), len(images)).features

    def _encode(self, batch: Batch, count: int) -> EncodedBags:
        half = self._config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return self._model.encode(batch, count).wide()

    def _cached(self, key: Hashable, batch: Batch | None, count: int) -> EncodedBags:
        encoded = self._features.get(key) if self._config.frozen else None
        if encoded is None:
            assert batch is not None  # as above
            encoded = self._encode(batch, count)
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
