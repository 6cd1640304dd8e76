"""What the callbacks' tests share: bags that tell apart, a network, a sampler for it, and picks as they are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from negsift.common.protocols import Pending
from negsift.common.types import Selection
from negsift.common.weights import Weights
from negsift.service import NegativeSampler
from negsift.trainer.epoch_bags import EpochBags
from tests.unit.toys import MeanNet, vectors

POOL, K = vectors([3] * 60), 8
POSITIVES = [bag + 0.5 for bag in vectors([3] * K, seed=1)]


class Network(MeanNet):
    """The toy network, in float32 logits of 2 columns."""


def epoch_bags() -> EpochBags:
    return EpochBags(POSITIVES, POOL, K)


@dataclass
class Recorder:
    """A sampler that records the picks of every round of the one inside."""

    inner: NegativeSampler
    picks: dict[int, list[int]] = field(default_factory=dict)
    closed: bool = False

    def select(self, weights: Weights, epoch: int) -> Selection:
        assert epoch not in self.picks
        chosen = self.inner.select(weights, epoch)
        self.picks[epoch] = chosen.index.tolist()
        return chosen

    def submit(self, weights: Weights, epoch: int, version: int | None = None) -> Pending:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:  # Any: as in the sampler's
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        self.inner.load_state_dict(state)

    def close(self) -> None:
        self.inner.close()
        self.closed = True


def recorder(model: torch.nn.Module, strategy: str = "svm_margin") -> Recorder:
    """By default of a strategy that also depends on the selection before."""
    return Recorder(NegativeSampler(POOL, model, strategy=strategy, k=K, shards=2, positives=POSITIVES, fleet="local"))


def loss_of(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    return (torch.nn.functional.cross_entropy(logits, label, reduction="none") * weight).mean()


def accelerator() -> Any:  # Any: accelerate need not be there
    """A new Accelerator in bfloat16, whatever the process made before."""
    import accelerate

    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    return accelerate.Accelerator(cpu=True, mixed_precision="bf16")
