"""From a model's outputs to an `Embedded`: encoded bags, gradient labels, and last-layer gradients.

What is computed stays on the model's device as tensors, so that many batches can be fetched at once.
"""

from collections.abc import Sequence
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


@dataclass(frozen=True)
class EmbeddedTensors:
    """What a forward pass gives, on its device: `logits` (N, K), `features` (N, D), and where they were asked for the
    factors of gradients, `left` (N, R) and `right` (N, G).
    """

    logits: Tensor
    features: Tensor
    left: Tensor | None = None
    right: Tensor | None = None

    @classmethod
    def joined(cls, parts: "Sequence[EmbeddedTensors]") -> "EmbeddedTensors":
        """Several of them, end to end."""
        columns = zip(*((part.logits, part.features, part.left, part.right) for part in parts), strict=True)
        logits, features, left, right = (
            None if column[0] is None else torch.cat([each for each in column if each is not None])
            for column in columns
        )
        assert logits is not None
        assert features is not None
        return cls(logits, features, left, right)

    def embedded(self, index: Index) -> Embedded:
        """The bags at `index` (N,) in main memory; waits for the device."""
        return embedded_of(index, [to_numpy(part) for part in self.parts])

    @property
    def parts(self) -> Sequence[Tensor]:
        """The tensors that there are, in the order of `embedded_of`; features that are the right factor come once."""
        if self.left is None or self.right is None:
            return self.logits, self.features
        if self.right is self.features:
            return self.logits, self.features, self.left
        return self.logits, self.features, self.left, self.right


def embedded_of(index: Index, arrays: Sequence[Array]) -> Embedded:
    """An Embedded of the `parts` of EmbeddedTensors, as arrays."""
    logits, features, *factors = arrays
    if not factors:
        return Embedded(index, logits, features)
    left = factors[0].astype(np.float64, copy=False)
    return Embedded(index, logits, features, Gradient(left, factors[1] if len(factors) > 1 else features))


def gradient_labels(logits_NK: Tensor, spec: EmbeddingSpec) -> Tensor:
    """The label y of each bag in its gradient, (N,). Raises BadInput for known labels of more than two classes."""
    if spec.label == "pseudo":
        return logits_NK.argmax(1)
    if logits_NK.shape[1] != 2:
        found = f"label=known with {logits_NK.shape[1]} classes"
        raise BadInput(found, "two classes, of which one is the negative class", "use label=pseudo")
    return torch.full((len(logits_NK),), 1 - spec.target, dtype=torch.long, device=logits_NK.device)


def with_linear_gradient(logits_NK: Tensor, feats_ND: Tensor, label_N: Tensor) -> EmbeddedTensors:
    """Logits and features, with (p - e_y) ⊗ h in factors. For two classes the second column of p - e_y is minus the
    first, so one column √2 (p_0 - [y = 0]) has the same inner products.
    """
    left = residual(logits_NK.double().softmax(1), label_N)
    left = left[:, :1] * 2**0.5 if left.shape[1] == 2 else left
    return EmbeddedTensors(logits_NK, feats_ND, left, feats_ND)


def general_gradient(delta_NnK: Tensor, feats_NnD: Tensor) -> tuple[Tensor, Tensor]:
    """A left factor of 1 and Σ_i δ_i ⊗ h_i as the right one: D numbers a bag for two classes, else K·D."""
    if delta_NnK.shape[-1] == 2:
        right = torch.einsum("ni,nid->nd", delta_NnK[..., 0], feats_NnD.double()) * 2**0.5
    else:
        right = torch.einsum("nik,nid->nkd", delta_NnK, feats_NnD.double()).flatten(1)
    return right.new_ones(len(right), 1, dtype=torch.float64), right


def on_device_of(values: Tensor, array: Array | Index) -> Tensor:
    """The array as a tensor where `values` are. From other memory than page-locked a copy would wait for the GPU."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(values.device, non_blocking=True) if values.is_cuda else tensor.to(values.device)


def widened(values: Tensor) -> Tensor:
    """Half precision as float32; other values as they are."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def to_numpy(values: Tensor) -> Array:
    """A numpy array that owns its memory; half precision is widened to float32."""
    array: Array = widened(values).detach().cpu().contiguous().numpy()
    return array
