"""Protocols of datasets of bags: what a user gives, and what a run trains and tests on."""

from collections.abc import Sequence
from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch


class BagDataset(Protocol):
    """A map-style dataset of bags; a bag is a tensor, or a tuple whose first item is a tensor."""

    def __len__(self) -> int:
        """The number of bags."""

    def __getitem__(self, position: int, /) -> Any:  # Any: the user's own form of a bag
        """The bag at `position`."""


@runtime_checkable
class HasSources(Protocol):
    """A dataset that knows which bags are of one source, such as a patient, a video or a slide."""

    def source_id(self, index: Index, /) -> Sequence[str | None]:
        """The sources of the bags at ascending positions; None for a bag without one."""


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
