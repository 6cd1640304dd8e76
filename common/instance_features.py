"""The features of a pool's instances, where bags share instances."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from negsift.common.arrays import Array, Index


@dataclass(frozen=True)
class InstanceFeatures:
    """Features (u, D) of the distinct instances at table rows `row` (u,), ascending."""

    row: Index
    features: Array

    def at(self, rows: Index) -> Array:
        """The features of `rows`, in that order, repeated where a row is."""
        place = np.searchsorted(self.row, rows)
        known = len(self.row) and np.array_equal(self.row[np.minimum(place, len(self.row) - 1)], rows)
        if len(rows) and not known:
            raise TypeError("InstanceFeatures needs the rows that are asked for")
        return self.features[place]

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """All parts as one, ascending; empty parts are passed over."""
        held = [part for part in parts if len(part.row)]
        if not held:
            return cls(np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.float32))
        row = np.concatenate([part.row for part in held])
        order = np.argsort(row)
        return cls(row[order], np.concatenate([part.features for part in held])[order])
