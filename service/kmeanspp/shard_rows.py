"""The points of one shard with an upper bound of each one's D², from which `queries` are answered.

Bounds only decide which few points are looked at; what is sent is exact. Axes: n points.
"""

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.rng import uniform_keys
from negsift.service.kmeanspp.cpu_backend import CpuBackend
from negsift.service.kmeanspp.messages import RateBasis
from negsift.service.kmeanspp.nearest import CentresByNorm, nearest
from negsift.service.kmeanspp.point_backend import BackendFactory, row_runs, slack
from negsift.service.kmeanspp.points import Points, squared_norms
from negsift.service.kmeanspp.sketch import Directions, upper_gaps

_MOST_CELLS = 1 << 22  # of the exact distances computed at a time: 32 MiB
_SKETCH_CELLS = 1 << 15  # of the bounds by sketches computed at a time, which then stay in the cache
_HASHES, _MORE_HASHES = 1.5, 16  # times and beyond as many hashes as wanted are looked at first
_NONE: Index = np.zeros(0, dtype=np.int64)


class ShardRows:
    """The points of one shard, each in a row; `slack` is the relative rounding error of its float32 products."""

    def __init__(self, points: Points, make_backend: BackendFactory | None = None) -> None:
        """`make_backend` gives the loops over all points; by default those for a CPU."""
        self.points, self.slack = points, slack(points.factors)
        self.backend = (make_backend or CpuBackend)(points)
        self._directions: Directions | None = None
        self._centres: CentresByNorm | None = None
        self._compared = self._sketched = _NONE  # the positions of the centres that bounds rest on

    def look_along(self, directions: Directions) -> None:
        """Sketch all points along these directions, unless that was done."""
        if self._directions is None or not directions.are(self._directions):
            self.backend.look_along(directions)
            self._reset()
            self._directions = directions

    def lower_bounds(self, basis: RateBasis) -> None:
        """Bring the bounds to the centres of the basis; only centres added since the last call are compared."""
        index = basis.centres.index
        if basis.directions is not None:
            self.look_along(basis.directions)
            if len(self._compared) or not _begins(index, self._sketched):
                self._reset()
            self._lower_by_sketch(basis, basis.directions)
        elif not np.array_equal(index, self._compared):
            if not (_begins(index, self._compared) and _begins(index, self._sketched)):
                self._reset()
            added = basis.centres.take(slice(len(self._compared), None))
            self._make_exact(self.backend.lower_bounds(added), added)
            self._compared, self._centres = index, CentresByNorm(basis.centres)

    def _lower_by_sketch(self, basis: RateBasis, directions: Directions) -> None:
        added = basis.centres.take(slice(len(self._sketched), None))
        if len(added):
            self._sketched = basis.centres.index
            rows = self.backend.lower_by_sketch(directions.sketch(added), added.squares)
            self.backend.set_bounds(rows, self.rates_of(rows, basis))

    def _reset(self) -> None:
        self.backend.reset()
        self._compared = self._sketched = _NONE

    def rates_of(self, rows: Index, basis: RateBasis) -> Floats:
        """The exact rates of `rows`, (n,), by the basis of the last call of `lower_bounds`."""
        if basis.directions is None:
            return self.gaps_of(rows)
        centres = basis.directions.sketch(basis.centres), basis.centres.squares
        rate_n = np.empty(len(rows))
        for run in row_runs(len(rows), max(1, _SKETCH_CELLS // len(basis.centres))):
            points = self.points.take(rows[run])
            rate_n[run] = upper_gaps((basis.directions.sketch(points), points.squares), centres).min(1)
        return rate_n

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
        share = _HASHES * (count + _MORE_HASHES) / max(len(self.points), 1)
        rows = self.backend.small_hashes(key, share) if share < 1.0 else _NONE
        rows = rows if len(rows) >= count else np.arange(len(self.points))
        uniform_n = uniform_keys(key, self.points.index[rows])
        return rows[np.lexsort((self.points.index[rows], uniform_n))][:count]

    def _make_exact(self, rows: Index, centres: Points) -> None:
        """Replace bounds that may be mostly rounding by D²: points near a centre would seem to arrive far too often."""
        by_norm = CentresByNorm(centres)
        for part in np.array_split(rows, 1 + len(rows) * len(centres) // _MOST_CELLS):
            gap_n = nearest(self.points.take(part), by_norm, self.backend.bounds_of(part))
            self.backend.set_bounds(part, gap_n)


def _begins(index: Index, done: Index) -> bool:
    """Whether `done` is the beginning of `index`."""
    return np.array_equal(index[: len(done)], done)
