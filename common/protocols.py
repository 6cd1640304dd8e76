"""Protocols between the rooms: a sampler as the trainer uses it."""

from collections.abc import Mapping
from typing import Any, Protocol

from negsift.common.arrays import Array, Index
from negsift.common.types import Selection
from negsift.common.weights import Weights


class Pending(Protocol):
    """A selection that is being made."""

    def result(self, timeout_s: float | None = None, /) -> Selection:
        """Wait for the selection. Raises StillRunning after `timeout_s`, and the service's own errors."""


class Sampler(Protocol):
    """Chooses the negatives of an epoch, as `NegativeSampler` does."""

    def select(self, weights: Weights, epoch: int) -> Selection:
        """The negatives for `epoch`, scored with `weights`."""

    def submit(self, weights: Weights, epoch: int, version: int | None = None) -> Pending:
        """Start a selection without waiting; `version` is the epoch of the weights, by default `epoch`."""

    def remember(self, index: Index, logits: Array, version: int) -> None:
        """Remember bag logits (n, K) that training saw, for rounds that go by them."""

    def state_dict(self) -> dict[str, Any]:  # Any: numpy arrays and numbers
        """Everything that later selections depend on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        """Continue from a `state_dict`."""

    def close(self, finish: bool = True) -> None:
        """No more selections are asked for; those under way are given up unless `finish`."""
