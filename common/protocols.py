"""Where rooms meet: what the trainer asks of a sampler, and what a pool may offer."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch
from negsift.common.types import Selection
from negsift.common.weights import Weights


class Pending(Protocol):
    """A selection under way."""

    def result(self, timeout_s: float | None = None, /) -> Selection:
        """Wait for it; raises TimeoutError after `timeout_s`, and whatever went wrong in the service."""


class Sampler(Protocol):
    """Chooses the negatives of an epoch; `service.NegativeSampler` is one."""

    def select(self, weights: Weights, epoch: int) -> Selection:
        """The negatives for `epoch`, scored with `weights`."""

    def submit(self, weights: Weights, epoch: int, version: int | None = None) -> Pending:
        """The same without waiting; `version` says after how many epochs the weights were taken."""

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


class Bags(Sized, Protocol):
    """A labelled set of bags that gives many at once: a `BagSet` of images, a `ClipSet` of sounds."""

    @property
    def instances(self) -> "Described":
        """The table that the bags are made of."""

    @property
    def name(self) -> str:
        """The set's, ending in `class` and the target's number."""

    @property
    def label(self) -> Index:
        """0 or 1 for every bag, (n,)."""

    def gather(self, index: Index) -> BagBatch | Tensor:
        """The bags at `index` as one batch of the model's input."""

    def subset(self, index: Index) -> Self:
        """The bags at `index`, in that order."""

    def joined(self, other: Self) -> Self:
        """These bags, then the other's."""

    def bag_id(self, index: Index) -> list[str]:
        """Names of bags, unique among all sets of a dataset."""


class Described(Protocol):
    """What a run tells of its data: the names of the classes and what was left out, with the reason."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by number."""

    @property
    def dropped(self) -> tuple[str, ...]:
        """A line for everything missing or undecodable."""
