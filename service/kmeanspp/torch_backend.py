"""The backend for points on a GPU; it runs on a CPU as well, for tests. Axes: n points, m centres, c columns.

Hashes are the same whole numbers there, and bounds are bounds, so the picks are those of the other backends.
"""

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Floats, Index
from negsift.common.gpu_arithmetic import IEEE, TF32, gpu_arithmetic, products_are_tf32
from negsift.common.rng import GOLDEN, MIX_A, MIX_B
from negsift.service.kmeanspp.messages import TimeWindow
from negsift.service.kmeanspp.point_backend import (
    NEAR,
    NEAR_SKETCH,
    RESIDUAL_SLACK,
    ROUNDED_UP,
    SKETCH_SLACK,
    row_runs,
    slack,
)  # fmt: skip
from negsift.service.kmeanspp.points import Points, Steps
from negsift.service.kmeanspp.sketch import Directions

_MOST_CELLS, _LEAST_COLUMNS = 1 << 26, 8  # of an array (n, m): 256 MiB; n counts as if it had 8 columns at least
_TF32 = 2.0**-9  # twice the relative error of a product of two factors rounded to TF32's 11 bits


class TorchBackend:
    """Points and bounds as tensors on `device`; squared norms in main memory as well."""

    def __init__(self, points: Points, device: torch.device) -> None:
        self._device = device
        self.factors = tuple(torch.from_numpy(factor_nc).to(device) for factor_nc in points.factors32)
        self._index = torch.from_numpy(points.index).to(device)
        tf32 = device.type == "cuda" and products_are_tf32()
        self._arithmetic = gpu_arithmetic if device.type == "cuda" else nullcontext
        self._way, self._slack = TF32 if tf32 else IEEE, slack(points.factors) + _TF32 * tf32
        self._squares = torch.ones(len(points), device=device)
        for factor_nc in self.factors:
            self._squares *= factor_nc.square().sum(1)
        self._bound = torch.full_like(self._squares, torch.inf)
        self.squares: Steps = self._squares.cpu().numpy()

    def look_along(self, directions: Directions) -> None:
        """Sketch all points along these directions: coordinates and distances from their span, (n, r + 1)."""
        coordinates = []
        for factor_nc, basis_rc in zip(self.factors, directions.orthonormal, strict=True):
            with self._arithmetic(self._way):
                coordinates.append(factor_nc @ torch.from_numpy(basis_rc).to(self._device, torch.float32).T)
        columns = list(coordinates[0].T)
        for more in coordinates[1:]:
            columns = [left * right for left in columns for right in more.T]
        rest = self._squares.clone()
        for column in columns:
            rest -= column.square()
        rest = rest.clamp_(min=0.0) + RESIDUAL_SLACK * self._slack * self._squares
        self._sketch = torch.stack([*columns, rest.sqrt_()], dim=1)

    def lower_by_sketch(self, sketch_mr: Floats, squares_m: Floats) -> Index:
        """Lower the bounds to what sketches say of D² to these centres; gives the rows that may be mostly rounding."""
        above = 1.0 + SKETCH_SLACK * self._slack
        weights_mr = -2.0 * sketch_mr
        weights_mr[:, -1] *= -1.0
        weights = torch.from_numpy(weights_mr).to(self._device, torch.float32)
        squares = torch.from_numpy(squares_m * above).to(self._device, torch.float32)
        for rows in self._runs(len(squares_m)):
            with self._arithmetic(IEEE):
                products_nm = self._sketch[rows] @ weights.T
            bound_n = products_nm.add_(squares).amin(1) + self._squares[rows] * above
            torch.minimum(self._bound[rows], bound_n, out=self._bound[rows])
        limit = NEAR_SKETCH * SKETCH_SLACK * self._slack
        return _true_rows((self._bound > 0.0) & (self._bound <= limit * self._squares))

    def lower_bounds(self, centres: Points) -> Index:
        """Lower them to |u|²(1 + 2ε) + |c|²(1 + ε) - 2u·c; gives the rows that may be mostly rounding."""
        right = [torch.from_numpy(factor_mc).to(self._device) for factor_mc in centres.factors32]
        squares_m = torch.from_numpy(centres.squares * (1.0 + self._slack)).to(self._device, torch.float32)
        for rows in self._runs(len(centres)):
            with self._arithmetic(self._way):  # the one that the slack is for
                products_nm = -2.0 * self.factors[0][rows] @ right[0].T
                for left_nc, right_mc in zip(self.factors[1:], right[1:], strict=True):
                    products_nm *= left_nc[rows] @ right_mc.T
            bound_n = products_nm.add_(squares_m).amin(1) + self._squares[rows] * (1.0 + 2.0 * self._slack)
            torch.minimum(self._bound[rows], bound_n, out=self._bound[rows])
        return _true_rows((self._bound > 0.0) & (self._bound <= NEAR * self._slack * self._squares))

    def bounds_of(self, rows: Index) -> Floats:
        """The bounds of `rows`."""
        bound_n: Floats = self._bound[torch.from_numpy(rows).to(self._device)].double().cpu().numpy()
        return bound_n

    def set_bounds(self, rows: Index, gap_n: Floats) -> None:
        """Set the bounds of `rows` to these exact D², rounded up."""
        bound_n = torch.from_numpy(gap_n * ROUNDED_UP).to(self._device, torch.float32)
        self._bound[torch.from_numpy(rows).to(self._device)] = bound_n

    def reset(self) -> None:
        """Set all bounds to infinity."""
        self._bound.fill_(torch.inf)

    def sum_bounds(self) -> float:
        """The sum of all bounds."""
        return float(self._bound.sum(dtype=torch.float64))

    def largest(self, count: int) -> tuple[Index, float]:
        """The `count` rows of the largest bounds and the largest bound of the others."""
        if count >= len(self._bound):
            return np.arange(len(self._bound)), 0.0
        largest = self._bound.topk(count + 1)
        rows: Index = largest.indices[:count].cpu().numpy()
        return rows, float(largest.values[count])

    def arriving(self, window: TimeWindow) -> Index:
        """Rows whose first arrival may be in the window: u ≤ rate · time + 2^-53, as `point_backend.earliest`."""
        parts = [np.zeros(0, dtype=np.int64)]
        for rows in self._runs(1):
            rate_n = self._bound[rows].double()
            uniform_n = _uniform_keys(self._index[rows], window.key)
            arriving_n = uniform_n <= rate_n * window.end + 2.0**-53
            if window.start > 0.0:
                arriving_n &= uniform_n > rate_n * window.start + 2.0**-53
            parts.append(_true_rows(arriving_n) + rows.start)
        return np.concatenate(parts)

    def small_hashes(self, key: int, share: float) -> Index:
        """The rows whose hash under `key` is at most `share`."""
        parts = [_true_rows(_uniform_keys(self._index[run], key) <= share) + run.start for run in self._runs(1)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])

    def _runs(self, columns: int) -> list[slice]:
        return row_runs(len(self._bound), max(1, _MOST_CELLS // max(columns, _LEAST_COLUMNS)))


def _uniform_keys(index: Tensor, key: int) -> Tensor:
    """`rng.uniform_keys` on the device: int64 products wrap as unsigned ones do, shifts are made logical."""
    bits = index * _signed(int(GOLDEN)) + _signed(key)
    bits = (bits ^ _shifted(bits, 30)) * _signed(int(MIX_A))
    bits = (bits ^ _shifted(bits, 27)) * _signed(int(MIX_B))
    bits = bits ^ _shifted(bits, 31)
    return (_shifted(bits, 11).double() + 1.0) * 2.0**-53


def _shifted(bits: Tensor, by: int) -> Tensor:
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word


def _true_rows(mask_n: Tensor) -> Index:
    rows: Index = mask_n.nonzero()[:, 0].cpu().numpy()
    return rows
