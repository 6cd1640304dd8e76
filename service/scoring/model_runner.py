"""The model as a shard runs it: weights loaded, bags brought to the device, the backbone, then the head."""

import hashlib
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Array, Index
from negsift.common.models.adapt import AdaptedModule, Embedder
from negsift.common.models.bag import BagClassifier
from negsift.common.models.embed import EncodedBags, to_numpy
from negsift.common.types import Embedded, EmbeddingSpec, InstanceFeatures, Snapshot
from negsift.common.weights import load_snapshot
from negsift.service.pool.bag_source import BagSource, move
from negsift.service.scoring.byte_limited_cache import ByteLimitedCache
from negsift.service.scoring.instances import shared_rows
from negsift.service.scoring.model_layout import prepare_model
from negsift.service.scoring.scoring_config import ScoringConfig

_LAYER = "features"


class ModelRunner:
    """One shard's own copy of the model; features of a frozen backbone are in `kept`."""

    def __init__(self, model: Embedder, config: ScoringConfig, kept: ByteLimitedCache) -> None:
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.model, self._config, self._kept = prepare_model(model.eval(), config), config, kept
        self._backbone = ""

    def load(self, snapshot: Snapshot) -> None:
        """Take these weights; features are kept if only the head's differ from the last ones."""
        load_snapshot(self.model, snapshot)
        backbone = backbone_digest(self.model, snapshot) if self._config.frozen else ""
        if backbone != self._backbone:
            self._kept.forget(_LAYER)
            self._backbone = backbone

    def embed(self, source: BagSource, index: Index, ask: EmbeddingSpec, place: Hashable) -> Embedded:
        """What a forward pass says of the source's bags at `index`, a whole block, which is called `place`."""
        with torch.inference_mode():
            if not self._config.split:
                return self.model.embed(self._bring(source.batch(index)), index, ask)
            encoded = self._find(place, lambda: self._encode(self._bring(source.batch(index)), len(index)))
            return self.model.answer(encoded, index, ask)

    def embed_shared(self, source: BagSource, index: Index, ask: EmbeddingSpec, known: InstanceFeatures) -> Embedded:
        """The same where the instances' features are known."""
        assert isinstance(self.model, BagClassifier)  # the coordinator asks no other
        rows, sizes = shared_rows(source, index)
        with torch.inference_mode():
            return self.model.pool(torch.from_numpy(known.at(rows)).to(self.device), sizes, index, ask)

    def features(self, images: Tensor, place: Hashable) -> Array:
        """Features (n, D) of instances; the same ones are called by the same `place`."""
        sizes = np.ones(len(images), dtype=np.int64)
        with torch.inference_mode():
            made = self._find(place, lambda: EncodedBags(self._run_encoder(self._bring(images)), sizes).wide())
            return to_numpy(made.features)

    def _encode(self, batch: Any, count: int) -> EncodedBags:  # Any: what the user's collate makes
        with self._autocast():
            encoded: EncodedBags = self.model.encode(batch, count)
        return encoded.wide()

    def _run_encoder(self, images: Tensor) -> Tensor:
        assert isinstance(self.model, BagClassifier)  # as above
        with self._autocast():
            features: Tensor = self.model.encoder(images)
        return features

    def _autocast(self) -> torch.autocast:
        half = self._config.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    def _bring(self, batch: Any) -> Any:  # Any: as above
        return move(batch, self.device, self._config)

    def _find(self, place: Hashable, make: Callable[[], EncodedBags]) -> EncodedBags:
        if not self._config.frozen:
            return make()
        found: EncodedBags | None = self._kept.find(_LAYER, place)
        if found is None:
            found = make()
            self._kept.keep(_LAYER, place, found, found.size_bytes)
        return found


def backbone_digest(model: Embedder, snapshot: Snapshot) -> str:
    """A name for the content of all weights that features depend on."""
    behind = (f"{model.head_name}.",) if isinstance(model, AdaptedModule) else ("head.", "pooling.")
    digest = hashlib.blake2b(digest_size=16)
    for name, array in snapshot.weights.items():
        if not name.startswith(behind):
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return f"{digest.hexdigest()}@{snapshot.pool_version}"
