"""The points of one shard with an upper bound of each one's D², from which `queries` are answered.

Bounds only decide which few points are looked at; what is sent is exact. Axes: n points.
"""

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.rng import uniform_keys
from negsift.service.kmeanspp.cpu_backend import CpuBackend
from negsift.service.kmeanspp.messages import RateBasis
from negsift.service.kmeanspp.nearest import CentresByNorm, nearest
from negsift.service.kmeanspp.point_backend import BackendFactory, slack
from negsift.service.kmeanspp.points import Points, squared_norms

_MOST_CELLS = 1 << 22  # of the exact distances computed at a time: 32 MiB


class ShardRows:
    """The points of one shard, each in a row; `slack` is the relative rounding error of its float32 products."""

    def __init__(self, points: Points, make_backend: BackendFactory | None = None) -> None:
        """`make_backend` gives the loops over all points; by default those for a CPU."""
        self.points, self.slack = points, slack(points.factors)
        self.backend = (make_backend or CpuBackend)(points)
        self._centres: CentresByNorm | None = None
        self._centre_index = np.zeros(0, dtype=np.int64)  # in the order chosen

    def lower_bounds(self, basis: RateBasis) -> None:
        """Bring the bounds to the centres of the basis; only centres added since the last call cost a pass."""
        if basis.radius is not None:
            return
        done, centres = len(self._centre_index), basis.centres
        if self._centres is not None and np.array_equal(centres.index, self._centre_index):
            return
        if not np.array_equal(centres.index[:done], self._centre_index):
            self.backend.reset()
            done = 0
        added = centres.take(slice(done, None))
        self._make_exact(self.backend.lower_bounds(added), added)
        self._centre_index, self._centres = centres.index, CentresByNorm(centres)

    def gaps_of(self, rows: Index) -> Floats:
        """The exact D² of `rows` to the centres of the last basis, (n,)."""
        assert self._centres is not None  # `lower_bounds` was called
        return nearest(self.points.take(rows), self._centres, self.backend.bounds_of(rows))

    def longest(self) -> Index:
        """The row of the longest point, ties by index; none where there is no point."""
        squares_n = self.backend.squares
        if not len(squares_n):
            return np.zeros(0, dtype=np.int64)
        rows = np.flatnonzero(squares_n >= squares_n.max() * np.float32(1.0 - 4.0 * self.slack))
        exact = squared_norms(self.points.take(rows).factors64)
        return rows[np.lexsort((self.points.index[rows], -exact))][:1]

    def by_hash(self, key: int, count: int) -> Index:
        """The rows of the `count` smallest hashes, or all rows, in the order of the hash."""
        uniform_n = uniform_keys(key, self.points.index)
        return np.lexsort((self.points.index, uniform_n))[:count]

    def _make_exact(self, rows: Index, centres: Points) -> None:
        """Replace bounds that may be mostly rounding by D²: points near a centre would seem to arrive far too often."""
        by_norm = CentresByNorm(centres)
        for part in np.array_split(rows, 1 + len(rows) * len(centres) // _MOST_CELLS):
            gap_n = nearest(self.points.take(part), by_norm, self.backend.bounds_of(part))
            self.backend.set_bounds(part, gap_n)
