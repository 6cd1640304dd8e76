"""A table of clips with their tags, and sets of its clips labelled for one target; each clip is a bag."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.audio.config import ClipForm
from negsift.common.data.audio.store import ClipStore
from negsift.common.data.audioset.classes import Vocabulary


@dataclass(frozen=True)
class Clips:
    """The clips of a list, by id, with all their `tags` (mids) and their `number` in the store. One table serves every
    target. `dropped` has a line for each clip that is missing or could not be decoded, with the reason.
    """

    ids: tuple[str, ...]
    tags: tuple[frozenset[str], ...]
    number: Index
    store: ClipStore
    vocabulary: Vocabulary
    dropped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def classes(self) -> tuple[str, ...]:
        """The display names of the class list."""
        return self.vocabulary.classes

    def tagged(self, mids: Collection[str]) -> NDArray[np.bool_]:
        """Whether each clip has one of these mids, (M,)."""
        mids = frozenset(mids)
        return np.array([not mids.isdisjoint(tags) for tags in self.tags], dtype=np.bool_)

    def tag_names(self, row: int) -> str:
        """The names of a clip's tags, comma-separated."""
        return ", ".join(sorted(self.vocabulary.name(mid) for mid in self.tags[row]))


@dataclass(frozen=True)
class ClipSet:
    """A map-style dataset of clips: bag i is clip `rows[i]` of `instances`, with `label` 0 or 1."""

    instances: Clips
    rows: Index
    label: Index
    name: str
    form: ClipForm

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        if not -len(self) <= position < len(self):
            raise IndexError(f"clip {position} of {len(self)}")
        return self.gather(np.array([position % len(self)]))[0], int(self.label[position])

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return (self[position] for position in range(len(self)))

    def gather(self, index: Index) -> Tensor:
        """Log-mel of the clips at `index`, neither augmented nor normalised, (n, frames, mels) float16."""
        return torch.from_numpy(self.instances.store.features(self._number(index)))

    def waveforms(self, index: Index) -> NDArray[np.int16]:
        """Samples of the clips at `index`, (n, S) int16."""
        return self.instances.store.waveforms(self._number(index))

    def subset(self, index: Index) -> "ClipSet":
        """The clips at `index`, in that order."""
        return ClipSet(self.instances, self.rows[index], self.label[index], self.name, self.form)

    def joined(self, other: "ClipSet") -> "ClipSet":
        """These clips followed by those of `other`. Raises ValueError unless both use the same table."""
        if other.instances is not self.instances:
            raise ValueError(f"clips of different tables, {self.name} and {other.name}")
        rows, label = np.concatenate([self.rows, other.rows]), np.concatenate([self.label, other.label])
        return ClipSet(self.instances, rows, label, self.name, self.form)

    def only(self, label: int) -> "ClipSet":
        """The clips with `label`."""
        return self.subset(np.flatnonzero(self.label == label))

    def bag_id(self, index: Index) -> list[str]:
        """The ids of the clips at `index`."""
        return [self.instances.ids[row] for row in self.rows[index]]

    def _number(self, index: Index) -> Index:
        return self.instances.number[self.rows[index]]
