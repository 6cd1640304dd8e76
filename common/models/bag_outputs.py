"""What a model says of bags and of their instances."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BagOutputs:
    """Logits of bags (N, K) and of their instances (N, n, K), padded; `mask` (N, n) is 1 for real ones."""

    logits: Tensor
    instance_logits: Tensor
    mask: Tensor

    @property
    def margins(self) -> Tensor:
        """z₁ - z₀ of every instance, (N, n)."""
        return self.instance_logits[..., 1] - self.instance_logits[..., 0]
