"""ClipClassifier: a clip is a bag, and its instances are the time steps that the model's encoder produces."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from negsift.common.arrays import Index
from negsift.common.data.audio.config import ClipForm
from negsift.common.data.bagset import Batch
from negsift.common.errors import BadData, BadModel
from negsift.common.models.attention import EDGE, AttentionHead
from negsift.common.models.bag_outputs import BagOutputs
from negsift.common.models.embed import EmbeddedTensors, EncodedBags, gradient_labels
from negsift.common.types import Embedded, EmbeddingSpec, Need


class Standardise(nn.Module):
    """(x - mean) / std. It belongs to the model because PSLA pads and masks (with 0) before it."""

    mean: Tensor
    std: Tensor

    def __init__(self, form: ClipForm) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(form.mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(form.std, dtype=torch.float32), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Standardised clips in the dtype of `mean`."""
        return (clips.to(self.mean.dtype) - self.mean) / self.std


class ClipClassifier(nn.Module):
    """Maps log-mel clips (N, frames, mels) to logits (N, K); for one class K is 2, with logits (0, log p/(1-p)). Their
    softmax is (1 - p, p), so cross-entropy is PSLA's binary cross-entropy of the clamped p. `encoder` maps standardised
    clips to time steps (N, T, D). A batch of any other form than a tensor raises BadData.
    """

    def __init__(self, form: ClipForm, encoder: nn.Module, head: AttentionHead) -> None:
        super().__init__()
        self.standardise, self.encoder, self.head = Standardise(form), encoder, head

    def forward(self, clips: Batch) -> Tensor:
        """Logits (N, K)."""
        return self._logits(_clamped(self.head, self.steps(clips)))

    def outputs(self, clips: Batch) -> BagOutputs:
        """Logits of the clips (N, K), and of their time steps by the head without its attention."""
        feats_NTD = self.steps(clips)
        steps = _clamped(self.head.step_probabilities, feats_NTD)
        whole = torch.ones(feats_NTD.shape[:2], dtype=feats_NTD.dtype, device=feats_NTD.device)
        return BagOutputs(self._logits(_clamped(self.head, feats_NTD)), self._logits(steps), whole)

    def steps(self, clips: Batch) -> Tensor:
        """The features of every time step, (N, T, D), in full precision even under autocast."""
        if not isinstance(clips, Tensor):
            expected = "a tensor (clips, frames, mels)"
            raise BadData(f"a batch of type {type(clips).__name__} for a ClipClassifier", expected, "correct collate=")
        feats_NTD: Tensor = self.encoder(self.standardise(clips))
        return feats_NTD.to(self.standardise.mean.dtype)

    def embed(self, clips: Batch, index: Index, spec: EmbeddingSpec) -> Embedded:
        """Logits, mean features of the steps (N, D) and, if `spec` asks, last-layer gradients (N, H·D). Raises BadModel
        for gradients of more than one class.
        """
        return self.embed_on_device(clips, len(index), spec).embedded(index)

    def embed_on_device(self, clips: Batch, count: int, spec: EmbeddingSpec) -> EmbeddedTensors:
        """The result of `embed` for `count` clips, left on the device."""
        return self.answer(self.encode(clips, count), spec)

    def encode(self, clips: Batch, count: int) -> EncodedBags:
        """The features of every time step of `count` clips, (N, T, D)."""
        feats_NTD = self.steps(clips)
        return EncodedBags(feats_NTD, np.full(count, feats_NTD.shape[1], dtype=np.int64))

    def answer(self, encoded: EncodedBags, spec: EmbeddingSpec) -> EmbeddedTensors:
        """The result of `embed` for encoded clips, left on the device."""
        feats_NTD = encoded.features
        probs_NK = _clamped(self.head, feats_NTD)
        logits_NK, feats_ND = self._logits(probs_NK), feats_NTD.mean(1)
        if spec.need < Need.GRADIENT:
            return EmbeddedTensors(logits_NK, feats_ND)
        if self.head.classes != 1:
            expected = "one class, whose probability has one gradient"
            remedy = "use a model of one class, or a strategy without gradients"
            raise BadModel(f"gradients of {self.head.classes} classes at once", expected, remedy)
        slope_N = _loss_slope(probs_NK[:, 0].double(), gradient_labels(logits_NK, spec))
        return EmbeddedTensors(logits_NK, feats_ND, slope_N[:, None], self.head.last_layer_gradient(feats_NTD))

    def _logits(self, probs: Tensor) -> Tensor:
        """Of probabilities (..., classes), which are those of class 1 where there is one class."""
        logits = probs.log() - (-probs).log1p()
        return torch.cat([torch.zeros_like(logits), logits], -1) if self.head.classes == 1 else logits


def _clamped(head: Callable[[Tensor], Tensor], feats_NTD: Tensor) -> Tensor:
    with torch.autocast(feats_NTD.device.type, enabled=False):  # half precision can't tell EDGE from 0, or from 1
        return head(feats_NTD).clamp(EDGE, 1 - EDGE)


def _loss_slope(probs_N: Tensor, label_N: Tensor) -> Tensor:
    """∂L/∂p = (p - y) / (p (1 - p)), which is -1/p or 1/(1 - p); 0 where p was clamped, as autograd has it."""
    inside = (probs_N > EDGE) & (probs_N < 1 - EDGE)
    return torch.where(label_N == 1, -1 / probs_N, 1 / (1 - probs_N)) * inside
