"""Protocols between the rooms: a sampler as the trainer uses it, and datasets of bags."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch
from negsift.common.types import Selection
from negsift.common.weights import Weights


class Pending(Protocol):
    """A selection that is being made."""

    def result(self, timeout_s: float | None = None, /) -> Selection:
        """Wait for the selection. Raises TimeoutError after `timeout_s`, and the service's own errors."""


class Sampler(Protocol):
    """Chooses the negatives of an epoch, as `NegativeSampler` does."""

    def select(self, weights: Weights, epoch: int) -> Selection:
        """The negatives for `epoch`, scored with `weights`."""

    def submit(self, weights: Weights, epoch: int, version: int | None = None) -> Pending:
        """Start a selection without waiting; `version` is the epoch of the weights, by default `epoch`."""

    def state_dict(self) -> dict[str, Any]:  # Any: numpy arrays and numbers
        """Everything that later selections depend on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        """Continue from a `state_dict`."""


class BagDataset(Protocol):
    """A map-style dataset of bags; a bag is a tensor, or a tuple whose first item is a tensor."""

    def __len__(self) -> int:
        """The number of bags."""

    def __getitem__(self, position: int, /) -> Any:  # Any: the user's own form of a bag
        """The bag at `position`."""


class LabelledBags(BagDataset, Protocol):
    """A set of labelled bags that can be gathered into batches, such as `BagSet`, `ClipSet` or `TableSet`."""

    @property
    def instances(self) -> "DataDescription":
        """A description of the table that the bags are made of."""

    @property
    def name(self) -> str:
        """The set's name, which ends in `class` and the target's number."""

    @property
    def label(self) -> Index:
        """0 or 1 for every bag, (n,)."""

    def gather(self, index: Index) -> BagBatch | Tensor:
        """The bags at `index` as one input of a model."""

    def subset(self, index: Index) -> Self:
        """The bags at `index`, in that order."""

    def joined(self, other: Self) -> Self:
        """These bags followed by those of `other`."""

    def bag_id(self, index: Index) -> list[str]:
        """The ids of the bags at `index`, unique among all sets of a dataset."""


class DataDescription(Protocol):
    """What a run reports about its data."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by number."""

    @property
    def dropped(self) -> tuple[str, ...]:
        """A line for each missing or undecodable item, with the reason."""
