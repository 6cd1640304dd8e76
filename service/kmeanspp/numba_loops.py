"""A shard's loops compiled by numba: every row is read once a pass, and no array of n x m is made.

Bounds may differ from numpy's in the last bits; the picks don't.
"""

import numpy as np

from common.types import Index
from service.kmeanspp import compiled
from service.kmeanspp.loops import MANY_CENTRES, NumpyLoops
from service.kmeanspp.nearest import ByNorm


class NumbaLoops(NumpyLoops):
    """As NumpyLoops, on which passes over points of several factors fall back."""

    def due(self, radius: float | None, key: int, times: tuple[float, float]) -> Index:
        """Rows whose first number is due in between."""
        rates, radius = (self._bound, -1.0) if radius is None else (self.squares, radius)
        found: Index = compiled.due(self._points.index, rates, np.uint64(key), times, radius)
        return found

    def _lower(self, centres: ByNorm) -> None:
        if len(self._points.factors) > 1:
            super()._lower(centres)
            return
        own = self.squares * np.float32(1.0 + 2.0 * self._slack)
        reach = (centres.points.squares * (1.0 + self._slack)).astype(np.float32)
        x, c = self._points.factors[0], centres.points.narrow.factors[0]
        if len(centres) < MANY_CENTRES:
            compiled.lower_by_all(x, own, c, reach, self._bound)
        else:
            compiled.lower_by_near(x, own, self._order, c, reach, centres.norms, self._bound)
