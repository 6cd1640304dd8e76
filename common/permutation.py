"""A keyed permutation whose ranks are computed one by one, so that no process holds all of it."""

from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Index
from negsift.common.rng import uniform_keys

_ROUNDS = 6


@dataclass(frozen=True)
class Permutation:
    """A pseudo-random permutation of 0 to `size - 1`, a function of `key`.

    A Feistel network (Luby and Rackoff 1988) permutes the smallest even number of bits that holds `size`; values that
    fall outside are permuted again until they are inside (Black and Rogaway, CT-RSA 2002, "cycle-walking").
    """

    key: int
    size: int

    def rank(self, index: Index) -> Index:
        """The place (n,) of each of `index` (n,) in the permutation."""
        place = self._permuted(index)
        while (outside := np.flatnonzero(place >= self.size)).size:
            place[outside] = self._permuted(place[outside])
        return place

    def _permuted(self, value: Index) -> Index:
        width = max(1, -(-(self.size - 1).bit_length() // 2))
        left, right = value >> width, value & ((1 << width) - 1)
        for number in range(_ROUNDS):
            keys = uniform_keys((self.key + number) % 2**64, right)  # in (0, 1]
            left, right = right, left ^ (np.ceil(keys * (1 << width)).astype(np.int64) - 1)
        return (left << width) | right
