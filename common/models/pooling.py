"""Poolings from instance logits to bag logits, with the gradient of the loss in closed form.

Axes: N bags, n instances (padded; `mask` is 1 for real ones), K classes, D features. With a linear head z_i = W h_i,
the gradient of L = -log p_y with respect to W is Σ_i δ_i ⊗ h_i with δ_i = ∂L/∂z_i (eq. 4 of Shah et al., arXiv
2309.13227). Each pooling computes its own δ.
"""

import torch
from torch import Tensor, nn

from negsift.common.errors import UnknownName
from negsift.common.models.config import POOLINGS


class Pooling(nn.Module):
    """Mean of logits, then softmax: `mean_softmax`. It is the base class of the other poolings. `linear` means that bag
    logits are a weighted sum of instance logits, Σ_i w_i z_i. Then δ_i = w_i (p - e_y), and the gradient is the single
    product (p - e_y) ⊗ Σ_i w_i h_i.
    """

    linear = True

    def weights(self, feats_NnD: Tensor, mask_Nn: Tensor) -> Tensor:
        """The weight of every instance in its bag's features, (N, n); weights of a bag sum to 1."""
        return mask_Nn / mask_Nn.sum(1, keepdim=True)

    def forward(self, logits_NnK: Tensor, share_Nn: Tensor, mask_Nn: Tensor) -> Tensor:
        """Bag logits (N, K) whose softmax is the bag's probability."""
        return torch.einsum("nik,ni->nk", logits_NnK, share_Nn)

    def delta(self, logits_NnK: Tensor, share_Nn: Tensor, mask_Nn: Tensor, label_N: Tensor) -> Tensor:
        """δ_i = ∂L/∂z_i of every instance for the bag labels y, (N, n, K)."""
        probs_NK = self(logits_NnK, share_Nn, mask_Nn).softmax(-1)
        return share_Nn[..., None] * residual(probs_NK, label_N)[:, None]


class SoftmaxMean(Pooling):
    """Softmax of every instance, then the mean of probabilities."""

    linear = False

    def forward(self, logits_NnK: Tensor, share_Nn: Tensor, mask_Nn: Tensor) -> Tensor:
        """log p̄ with p̄ the mean of the instances' probabilities, (N, K)."""
        padded = _minus_inf(logits_NnK.log_softmax(-1), mask_Nn)
        return torch.sub(padded.logsumexp(1), mask_Nn.sum(1, keepdim=True).log())

    def delta(self, logits_NnK: Tensor, share_Nn: Tensor, mask_Nn: Tensor, label_N: Tensor) -> Tensor:
        """δ_i = (1/n) (p_iy / p̄_y) (p_i - e_y)."""
        logs_NnK = _minus_inf(logits_NnK.log_softmax(-1), mask_Nn)
        rows = torch.arange(len(label_N), device=label_N.device)
        pooled_NK: Tensor = self(logits_NnK, share_Nn, mask_Nn)
        ratio_Nn = (logs_NnK[rows, :, label_N] - pooled_NK[rows, label_N][:, None]).exp()
        scale_Nn = ratio_Nn / mask_Nn.sum(1, keepdim=True)
        instances, labels = logs_NnK.exp().flatten(0, 1), label_N.repeat_interleave(mask_Nn.shape[1])
        return scale_Nn[..., None] * residual(instances, labels).view_as(logits_NnK)


class SoftmaxMax(Pooling):
    """Softmax of every instance, then the maximum over instances for each class, renormalised to sum to 1."""

    linear = False

    def forward(self, logits_NnK: Tensor, share_Nn: Tensor, mask_Nn: Tensor) -> Tensor:
        """log m - log Σ m with m_c = max_i p_ic, (N, K)."""
        return _minus_inf(logits_NnK.log_softmax(-1), mask_Nn).amax(1).log_softmax(-1)

    def delta(self, logits_NnK: Tensor, share_Nn: Tensor, mask_Nn: Tensor, label_N: Tensor) -> Tensor:
        """δ_i = Σ_c (m_c / Σm - [c = y]) (e_c - p_i), over the classes c whose maximum m_c is that of instance i."""
        logs_NnK = _minus_inf(logits_NnK.log_softmax(-1), mask_Nn)
        best_NK, winner_NK = logs_NnK.max(1)
        pull_NK = residual(best_NK.softmax(-1), label_N)
        classes = logits_NnK.shape[-1]
        gap_NcK = -residual(*_winners(logs_NnK.exp(), winner_NK)).view(-1, classes, classes)
        delta, added_NcK = torch.zeros_like(logits_NnK), pull_NK[..., None] * gap_NcK
        index_NcK = winner_NK[..., None].expand(-1, -1, classes)
        for column in range(classes):  # one after the other: a GPU adds to one place in no fixed order
            delta = delta.scatter_add(1, index_NcK[:, column, None], added_NcK[:, column, None])
        return delta


class GatedAttention(Pooling):
    """Gated attention (Ilse, Tomczak and Welling, ICML 2018, eq. 9): a_i ∝ exp w·(tanh V h_i ⊙ σ U h_i)."""

    def __init__(self, feature_size: int, hidden: int = 128) -> None:
        super().__init__()
        self.value = nn.Linear(feature_size, hidden)
        self.gate = nn.Linear(feature_size, hidden)
        self.score = nn.Linear(hidden, 1)

    def weights(self, feats_NnD: Tensor, mask_Nn: Tensor) -> Tensor:
        """The attention of every instance, (N, n)."""
        scores_NnK = self.score(self.value(feats_NnD).tanh() * self.gate(feats_NnD).sigmoid())
        return _minus_inf(scores_NnK, mask_Nn)[..., 0].softmax(1)


def residual(probs_NK: Tensor, label_N: Tensor) -> Tensor:
    """p - e_y, (N, K). p_y - 1 is computed as minus the sum of the other p, which keeps its precision near p_y = 1."""
    others = probs_NK.scatter(1, label_N[:, None], 0.0)
    return others.scatter(1, label_N[:, None], -others.sum(1, keepdim=True))


def make_pooling(name: str, feature_size: int) -> Pooling:
    """The pooling called `name`. Raises UnknownName."""
    if name not in POOLINGS:
        raise UnknownName("pooling", name, POOLINGS)
    return GatedAttention(feature_size) if name == "attention" else _FIXED[name]()


def _winners(probs_NnK: Tensor, winner_NK: Tensor) -> tuple[Tensor, Tensor]:
    """For every bag and class c the probabilities of the instance with the maximum, and c: (N·K, K), (N·K,)."""
    classes = probs_NnK.shape[-1]
    picked = probs_NnK.gather(1, winner_NK[..., None].expand(-1, -1, classes))
    return picked.flatten(0, 1), torch.arange(classes, device=winner_NK.device).repeat(len(winner_NK))


def _minus_inf(values_NnK: Tensor, mask_Nn: Tensor) -> Tensor:
    return values_NnK.masked_fill(~mask_Nn[..., None].bool(), -torch.inf)


_FIXED: dict[str, type[Pooling]] = {"mean_softmax": Pooling, "softmax_mean": SoftmaxMean, "softmax_max": SoftmaxMax}
