"""A shard's loops for many points: torch's products where centres are few, numba where a loop is not a product.

Bounds may differ from numpy's in the last bits; the picks don't.
"""

import numpy as np
import torch

from negsift.service.kmeanspp import numba_kernels
from negsift.service.kmeanspp.nearest import CentresByNorm
from negsift.service.kmeanspp.numpy_backend import MANY_CENTRES, NumpyBackend
from negsift.service.kmeanspp.points import Points, Steps

_ROWS = 1 << 12


class NumbaBackend(NumpyBackend):
    """As NumpyLoops, on which passes over points of several factors fall back."""

    def _first_times(self, radius: float | None, key: int) -> Steps:
        rates, radius = (self._bound, -1.0) if radius is None else (self.squares, radius)
        return np.asarray(
            numba_kernels.first_times(self._points.index, rates, np.uint64(key), radius), dtype=np.float32
        )

    def _squares(self, factor: Steps) -> Steps:
        return np.asarray(numba_kernels.squares(factor), dtype=np.float32)

    def _lower(self, centres: CentresByNorm) -> None:
        if len(self._points.factors) > 1:
            super()._lower(centres)
        elif len(centres) < MANY_CENTRES:
            self._lower_by_products(centres.points)
        else:
            own = self.squares * np.float32(1.0 + 2.0 * self._slack)
            x, c = self._points.factors[0], centres.points.narrow.factors[0]
            numba_kernels.lower_by_near(x, own, self._order, c, self._reach(centres.points), centres.norms, self._bound)

    def _lower_by_products(self, centres: Points) -> None:
        """Every point with every centre; torch's product of few rows is quicker than numpy's."""
        points, bound = torch.from_numpy(self._points.factors[0]), torch.from_numpy(self._bound)
        squares, theirs = torch.from_numpy(self.squares), torch.from_numpy(-2.0 * centres.narrow.factors[0])
        reach = torch.from_numpy(self._reach(centres))[:, None]
        for start in range(0, len(bound), _ROWS):
            rows = slice(start, start + _ROWS)
            least = torch.addmm(reach, theirs, points[rows].T).amin(0)
            least.add_(squares[rows], alpha=1.0 + 2.0 * self._slack)
            torch.minimum(bound[rows], least, out=bound[rows])

    def _reach(self, centres: Points) -> Steps:
        reach: Steps = (centres.squares * (1.0 + self._slack)).astype(np.float32)
        return reach
