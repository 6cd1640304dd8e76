"""Sketches of all points of a shard in float32: bounds on D² by a few columns a point. Axes: n points, r directions."""

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.point_backend import NEAR_SKETCH, RESIDUAL_SLACK, SKETCH_SLACK, row_runs, slack
from negsift.service.kmeanspp.points import Steps
from negsift.service.kmeanspp.sketch import Directions, combined

_RUN, _CELLS = 1 << 11, 1 << 18  # points whose columns stay in the cache, and their products with centres: 1 MiB
_COMPILED = 3  # directions in the compiled loops


class FloatSketch:
    """Squared norms (n,), and coordinates and distances from the span, (r + 1, n), which rounding makes no shorter."""

    def __init__(self, factors: tuple[Steps, ...], directions: Directions, compiled: bool) -> None:
        """One read of the factors; `compiled`: by numba, for points of one factor."""
        self.directions, self._slack = directions, slack(factors)
        self._compiled = compiled and len(factors) == 1
        basis = [basis_rc.astype(np.float32) for basis_rc in directions.orthonormal]
        if self._compiled:
            from negsift.service.kmeanspp import numba_kernels

            basis_rc = np.zeros((_COMPILED, factors[0].shape[1]), dtype=np.float32)
            basis_rc[: len(basis[0])] = basis[0]
            self.squares, self._columns = numba_kernels.sketch(factors[0], basis_rc, RESIDUAL_SLACK * self._slack)
            return
        self.squares = np.ones(len(factors[0]), dtype=np.float32)
        self._columns = np.empty((directions.count + 1, len(factors[0])), dtype=np.float32)
        for rows in row_runs(len(self.squares), _RUN):
            parts = [factor_nc[rows] for factor_nc in factors]
            for part_nc in parts:
                self.squares[rows] *= np.einsum("nc,nc->n", part_nc, part_nc)
            columns = combined([list(basis_rc @ part_nc.T) for part_nc, basis_rc in zip(parts, basis, strict=True)])
            rest_n = self.squares[rows].copy()
            for row, column_n in enumerate(columns):
                self._columns[row, rows] = column_n
                rest_n -= column_n * column_n
            rest_n = np.maximum(rest_n, 0.0) + self.squares[rows] * np.float32(RESIDUAL_SLACK * self._slack)
            self._columns[-1, rows] = np.sqrt(rest_n)

    def lower(self, bound_n: Steps, sketch_mr: Floats, squares_m: Floats) -> Index:
        """Lower the bounds, in place, to |u|² + |c|² - 2 z_u·z_c + 2 p_u p_c, a few slacks of |u|² + |c|² above.

        Gives the rows whose bound may be mostly rounding.
        """
        above, near = 1.0 + SKETCH_SLACK * self._slack, NEAR_SKETCH * SKETCH_SLACK * self._slack
        weights_mr, above_m = (-2.0 * sketch_mr).astype(np.float32), (squares_m * above).astype(np.float32)
        weights_mr[:, -1] *= -1.0
        if self._compiled:
            from negsift.service.kmeanspp import numba_kernels

            padded_mr = np.zeros((len(weights_mr), _COMPILED + 1), dtype=np.float32)
            padded_mr[:, : weights_mr.shape[1] - 1], padded_mr[:, -1] = weights_mr[:, :-1], weights_mr[:, -1]
            centres = padded_mr, above_m
            scales = np.array([above, near], dtype=np.float32)
            return numba_kernels.lower_by_sketch((self._columns, self.squares), centres, bound_n, scales)
        for rows in row_runs(len(bound_n), max(_RUN, _CELLS // len(sketch_mr))):
            products_mn = weights_mr @ self._columns[:, rows]
            products_mn += above_m[:, None]
            lowered_n = products_mn.min(0) + self.squares[rows] * np.float32(above)
            bound_n[rows] = np.minimum(bound_n[rows], lowered_n)
        return np.flatnonzero((bound_n > 0.0) & (bound_n <= np.float32(near) * self.squares))
