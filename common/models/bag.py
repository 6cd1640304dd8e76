"""BagClassifier: encode instances, classify each with a linear head, pool into the bag's answer."""

import numpy as np
import torch
from torch import Tensor, nn

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch, Batch
from negsift.common.errors import BadModel
from negsift.common.models.embed import EncodedBags, general_gradient, gradient_labels, linear_gradient, pack
from negsift.common.models.pooling import Pooling
from negsift.common.models.ragged import spread
from negsift.common.types import Embedded, EmbeddingSpec, Need


class BagClassifier(nn.Module):
    """Bags in, bag logits (N, K) out; their softmax is the bag's probability, so cross-entropy is its loss.

    `encoder` maps instances (M, ...) to features (M, D), `head` features to logits (M, K).
    """

    def __init__(self, encoder: nn.Module, head: nn.Linear, pooling: Pooling) -> None:
        super().__init__()
        self.encoder, self.head, self.pooling = encoder, head, pooling

    def forward(self, bags: Batch) -> Tensor:
        """Bag logits (N, K) of ragged bags, or of a tensor of equal ones, (N, n, ...)."""
        batch = as_batch(bags)
        feats_MD = self.encoder(batch.instances)
        feats_NnD, mask_Nn = spread(feats_MD, batch.sizes)
        share_Nn = self.pooling.weights(feats_NnD, mask_Nn)
        logits_NnK, _ = spread(self.head(feats_MD), batch.sizes)
        pooled: Tensor = self.pooling(logits_NnK, share_Nn, mask_Nn)
        return pooled

    def embed(self, bags: Batch, index: Index, ask: EmbeddingSpec) -> Embedded:
        """What one forward pass says of the bags at pool positions `index`; see `pool` for the levels."""
        return self.answer(self.encode(bags, len(index)), index, ask)

    def encode(self, bags: Batch, count: int) -> EncodedBags:
        """The features of every instance of `count` bags, (M, D)."""
        batch = as_batch(bags)
        return EncodedBags(self.encoder(batch.instances), batch.sizes)

    def answer(self, encoded: EncodedBags, index: Index, ask: EmbeddingSpec) -> Embedded:
        """The rest of `embed`."""
        return self.pool(encoded.features, encoded.sizes, index, ask)

    def pool(self, feats_MD: Tensor, sizes: Index, index: Index, ask: EmbeddingSpec) -> Embedded:
        """The embedding of bags whose instances' features are known, so that an instance shared by many
        bags is encoded once. The gradient is in closed form for every pooling, in float64.
        """
        feats_NnD, mask_Nn = spread(feats_MD, sizes)
        logits_NnK, _ = spread(self.head(feats_MD), sizes)
        share_Nn = self.pooling.weights(feats_NnD, mask_Nn)
        logits_NK = self.pooling(logits_NnK, share_Nn, mask_Nn)
        feats_ND = torch.einsum("nid,ni->nd", feats_NnD, share_Nn)
        if ask.need < Need.GRADIENT:
            return pack(index, logits_NK, feats_ND, None)
        label_N = gradient_labels(logits_NK, ask)
        if self.pooling.linear:
            return pack(index, logits_NK, feats_ND, linear_gradient(logits_NK, feats_ND, label_N))
        delta = self.pooling.delta(logits_NnK.double(), share_Nn.double(), mask_Nn.double(), label_N)
        return pack(index, logits_NK, feats_ND, general_gradient(delta, feats_NnD))


def as_batch(bags: Batch) -> BagBatch:
    """Equal bags (N, n, ...) as a BagBatch, a BagBatch unchanged; raises BadModel for any other form."""
    if isinstance(bags, BagBatch):
        return bags
    if not isinstance(bags, Tensor):
        raise BadModel(f"a batch of type {type(bags).__name__}", "a BagBatch or a tensor (N, n, ...)", "adapt collate=")
    return BagBatch(bags.flatten(0, 1), np.full(len(bags), bags.shape[1], dtype=np.int64))
