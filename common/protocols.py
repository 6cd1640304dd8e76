"""Where rooms meet: what the trainer asks of a sampler, and what a pool may offer."""

from collections.abc import Mapping
from typing import Any, Protocol

from common.types import Selection
from common.weights import Weights


class Sampler(Protocol):
    """Chooses the negatives of an epoch; `service.NegativeSampler` is one."""

    def select(self, weights: Weights, epoch: int) -> Selection:
        """The negatives for `epoch`, scored with `weights`."""

    def state_dict(self) -> dict[str, Any]:  # Any: numpy arrays and numbers
        """All that later selections depend on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        """Go on from a `state_dict`."""


class Sized(Protocol):
    """A map-style dataset of bags: a bag is a tensor, or a tuple whose first item is one."""

    def __len__(self) -> int:
        """How many bags."""

    def __getitem__(self, position: int, /) -> Any:  # Any: the user's own form of a bag
        """The bag at `position`."""
