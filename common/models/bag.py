"""BagClassifier: encodes instances, classifies each with a linear head, and pools the results of a bag."""

import numpy as np
import torch
from torch import Tensor, nn

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch, Batch
from negsift.common.errors import BadData
from negsift.common.models.bag_outputs import BagOutputs
from negsift.common.models.embed import (
    EmbeddedTensors,
    EncodedBags,
    general_gradient,
    gradient_labels,
    on_device_of,
    with_linear_gradient,
)
from negsift.common.models.pooling import Pooling
from negsift.common.types import Embedded, EmbeddingSpec, Need


class BagClassifier(nn.Module):
    """Maps bags to bag logits (N, K). Their softmax is the bag's probability, so the loss is cross-entropy. `encoder`
    maps instances (M, ...) to features (M, D), `head` maps features to logits (M, K). A batch is a BagBatch, or a
    tensor (N, n, ...) of bags of equal size; any other form raises BadData.
    """

    def __init__(self, encoder: nn.Module, head: nn.Linear, pooling: Pooling) -> None:
        super().__init__()
        self.encoder, self.head, self.pooling = encoder, head, pooling

    def forward(self, bags: Batch) -> Tensor:
        """Bag logits (N, K)."""
        return self.outputs(bags).logits

    def outputs(self, bags: Batch) -> BagOutputs:
        """Logits of the bags (N, K) and of their instances."""
        batch = as_bag_batch(bags)
        feats_MD = self.encoder(batch.instances)
        feats_NnD, mask_Nn = pad_bags(feats_MD, batch.sizes)
        share_Nn = self.pooling.weights(feats_NnD, mask_Nn)
        logits_NnK, _ = pad_bags(self.head(feats_MD), batch.sizes)
        pooled: Tensor = self.pooling(logits_NnK, share_Nn, mask_Nn)
        return BagOutputs(pooled, logits_NnK, mask_Nn)

    def embed(self, bags: Batch, index: Index, spec: EmbeddingSpec) -> Embedded:
        """Logits, features and gradients, as `spec` asks, of the bags at pool positions `index` (n,)."""
        return self.embed_on_device(bags, len(index), spec).embedded(index)

    def embed_on_device(self, bags: Batch, count: int, spec: EmbeddingSpec) -> EmbeddedTensors:
        """The result of `embed` for `count` bags, left on the device."""
        return self.answer(self.encode(bags, count), spec)

    def encode(self, bags: Batch, count: int) -> EncodedBags:
        """The features of every instance of `count` bags, (M, D)."""
        batch = as_bag_batch(bags)
        return EncodedBags(self.encoder(batch.instances), batch.sizes)

    def answer(self, encoded: EncodedBags, spec: EmbeddingSpec) -> EmbeddedTensors:
        """The result of `embed` for encoded bags, left on the device."""
        return self.pool(encoded.features, encoded.sizes, spec)

    def pool(self, feats_MD: Tensor, sizes: Index, spec: EmbeddingSpec) -> EmbeddedTensors:
        """The result of `embed`, left on the device, given the features of the bags' instances end to end and the bags'
        sizes (n,). So an instance that is in many bags is encoded once. Gradients are in closed form, computed in
        float64.
        """
        feats_NnD, mask_Nn = pad_bags(feats_MD, sizes)
        logits_NnK, _ = pad_bags(self.head(feats_MD), sizes)
        share_Nn = self.pooling.weights(feats_NnD, mask_Nn)
        logits_NK = self.pooling(logits_NnK, share_Nn, mask_Nn)
        feats_ND = torch.einsum("nid,ni->nd", feats_NnD, share_Nn)
        if spec.need < Need.GRADIENT:
            return EmbeddedTensors(logits_NK, feats_ND)
        label_N = gradient_labels(logits_NK, spec)
        if self.pooling.linear:
            return with_linear_gradient(logits_NK, feats_ND, label_N)
        # In float32, differences of probabilities near 0 and 1 would cancel.
        delta = self.pooling.delta(logits_NnK.double(), share_Nn.double(), mask_Nn.double(), label_N)
        return EmbeddedTensors(logits_NK, feats_ND, *general_gradient(delta, feats_NnD))


def as_bag_batch(bags: Batch) -> BagBatch:
    """A BagBatch unchanged, or made of a tensor (N, n, ...). Raises BadData for any other form."""
    if isinstance(bags, BagBatch):
        return bags
    if not isinstance(bags, Tensor):
        expected = "a BagBatch, or a tensor (bags, instances, ...)"
        raise BadData(f"a batch of type {type(bags).__name__} for a BagClassifier", expected, "correct collate=")
    return BagBatch(bags.flatten(0, 1), np.full(len(bags), bags.shape[1], dtype=np.int64))


def pad_bags(values_MF: Tensor, sizes: Index) -> tuple[Tensor, Tensor]:
    """Bags (N, n, F) of instances end to end (M, F), n the largest size, and the mask (N, n), 1.0 for real instances.
    Bags of equal size are a view; smaller ones are padded with zeros, which every reader must mask.
    """
    longest = int(sizes.max()) if len(sizes) else 0
    if (sizes == longest).all():
        shaped = values_MF.reshape(len(sizes), longest, *values_MF.shape[1:])
        return shaped, torch.ones(shaped.shape[:2], dtype=values_MF.dtype, device=values_MF.device)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # The place of every instance among N·n: scatter once instead of copying bag by bag.
    place = on_device_of(values_MF, np.repeat(np.arange(len(sizes)) * longest, sizes) + within)
    padded = values_MF.new_zeros(len(sizes) * longest, *values_MF.shape[1:]).index_copy(0, place, values_MF)
    mask = values_MF.new_zeros(len(sizes) * longest).index_fill(0, place, 1.0)
    return padded.view(len(sizes), longest, *values_MF.shape[1:]), mask.view(len(sizes), longest)
