"""PSLA's head: four-headed attention over the time steps of a clip, with its gradient in closed form.

Source: Gong, Chung and Glass, arXiv 2102.01243, section III, and their code. Axes: N clips, T time steps, H heads,
K classes, D features of a step. For one head and class, with steps x_t:

    A_t = clamp(σ(wA·x_t + bA), 1e-7, 1 - 1e-7)    a_t = A_t / Σ_s A_s    C_t = σ(wC·x_t + bC)
    p = Σ_h w_h Σ_t a_ht C_ht

The w_h are initialised to 1/H, shared by all classes, and unconstrained, so p may lie outside [0, 1].
"""

import torch
from torch import Tensor, nn

EDGE = 1e-7
"""Attention and probabilities are clamped to this distance from 0 and 1."""


class AttentionHead(nn.Module):
    """Maps steps (N, T, D) to one probability for each class (N, K); it has 2·H·(D + 1)·K + H parameters."""

    def __init__(self, feature_size: int, classes: int = 1, heads: int = 4) -> None:
        super().__init__()
        self.classes, self.heads = classes, heads
        self.attention = nn.Linear(feature_size, heads * classes)
        self.classifier = nn.Linear(feature_size, heads * classes)
        self.head_weight = nn.Parameter(torch.full((heads,), 1 / heads))

    def forward(self, feats_NTD: Tensor) -> Tensor:
        """p of every class, not clamped, (N, K)."""
        attention_NTHK, probs_NTHK = self._heads(feats_NTD)
        return torch.einsum("nthk,nthk,h->nk", attention_NTHK, probs_NTHK, self.head_weight)

    def step_probabilities(self, feats_NTD: Tensor) -> Tensor:
        """The heads' probabilities of single steps, Σ_h w_h C_ht, not clamped, (N, T, K)."""
        _, probs_NTHK = self._heads(feats_NTD)
        return torch.einsum("nthk,h->ntk", probs_NTHK, self.head_weight)

    def last_layer_gradient(self, feats_NTD: Tensor) -> Tensor:
        """∂p/∂wC of the only class, for all heads, (N, H·D): w_h Σ_t a_ht (1 - C_ht) C_ht x_t. Multiplied by ∂L/∂p it
        is the gradient embedding of eq. 4 of Shah et al. (arXiv 2309.13227) for θ_out = wC.
        """
        attention_NTHK, probs_NTHK = self._heads(feats_NTD)
        slope_NTH = (attention_NTHK * probs_NTHK * (1 - probs_NTHK))[..., 0] * self.head_weight
        return torch.einsum("nth,ntd->nhd", slope_NTH, feats_NTD).flatten(1)

    def _heads(self, feats_NTD: Tensor) -> tuple[Tensor, Tensor]:
        """a and C: each head's attention, which sums to 1 over steps, and its probabilities; (N, T, H, K) each."""
        shape = (*feats_NTD.shape[:2], self.heads, self.classes)
        raw_NTHK = self.attention(feats_NTD).sigmoid().clamp(EDGE, 1 - EDGE).view(shape)
        return raw_NTHK / raw_NTHK.sum(1, keepdim=True), self.classifier(feats_NTD).sigmoid().view(shape)
