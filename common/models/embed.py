"""From a model's outputs to an `Embedded`: encoded bags, gradient labels, and last-layer gradients."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Array, Index
from negsift.common.errors import BadInput
from negsift.common.models.pooling import residual
from negsift.common.types import Embedded, EmbeddingSpec, Gradient


@dataclass(frozen=True)
class EncodedBags:
    """The output of a model's backbone: `features`, the input of its head, and the bags' `sizes` (n,)."""

    features: Tensor
    sizes: Index

    @property
    def size_bytes(self) -> int:
        """Memory of features and sizes."""
        return self.features.element_size() * self.features.nelement() + self.sizes.nbytes

    def wide(self) -> "EncodedBags":
        """The same bags, with bfloat16 features widened to float32."""
        return EncodedBags(self.features.float(), self.sizes) if self.features.dtype == torch.bfloat16 else self


def gradient_labels(logits_NK: Tensor, spec: EmbeddingSpec) -> Tensor:
    """The label y of each bag in its gradient, (N,). Raises BadInput for known labels of more than two classes."""
    if spec.label == "pseudo":
        return logits_NK.argmax(1)
    if logits_NK.shape[1] != 2:
        found = f"label=known with {logits_NK.shape[1]} classes"
        raise BadInput(found, "two classes, of which one is the negative class", "use label=pseudo")
    return torch.full((len(logits_NK),), 1 - spec.target, dtype=torch.long, device=logits_NK.device)


def linear_gradient(logits_NK: Tensor, feats_ND: Tensor, label_N: Tensor) -> Gradient:
    """(p - e_y) ⊗ h in factors. For two classes the second column of p - e_y is minus the first, so one column √2 (p_0
    - [y = 0]) has the same inner products.
    """
    left = residual(logits_NK.double().softmax(1), label_N)
    left = left[:, :1] * 2**0.5 if left.shape[1] == 2 else left
    return Gradient(to_numpy(left).astype(np.float64, copy=False), to_numpy(feats_ND))


def general_gradient(delta_NnK: Tensor, feats_NnD: Tensor) -> Gradient:
    """Σ_i δ_i ⊗ h_i as the right factor, with a left factor of 1: D numbers a bag for two classes, else K·D."""
    if delta_NnK.shape[-1] == 2:
        right = torch.einsum("ni,nid->nd", delta_NnK[..., 0], feats_NnD.double()) * 2**0.5
    else:
        right = torch.einsum("nik,nid->nkd", delta_NnK, feats_NnD.double()).flatten(1)
    return Gradient(np.ones((len(right), 1)), to_numpy(right))


def pack(index: Index, logits_NK: Tensor, feats_ND: Tensor, gradient: Gradient | None) -> Embedded:
    """The tensors as an Embedded, copied from the device."""
    return Embedded(index, to_numpy(logits_NK), to_numpy(feats_ND), gradient)


def to_numpy(values: Tensor) -> Array:
    """A numpy array that owns its memory; half precision is widened to float32."""
    wide = values if values.dtype in (torch.float32, torch.float64) else values.float()
    array: Array = wide.detach().cpu().contiguous().numpy()
    return array
