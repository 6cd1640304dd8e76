"""A shard's loops in torch, for points on a GPU; it runs on a CPU as well.

Hashes are the same whole numbers there, and bounds stay bounds, so the picks are those of the other bodies.
"""

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Floats, Index
from negsift.common.rng import GOLDEN, MIX_A, MIX_B
from negsift.service.kmeanspp.numpy_backend import NEAR, ROUNDED_UP, slack
from negsift.service.kmeanspp.points import Points, Steps

_CELLS = 1 << 26
_TF32 = 2.0**-9


class TorchBackend:
    """Points on `device` and, for the few that are sent, in memory as well."""

    def __init__(self, points: Points, device: torch.device) -> None:
        self._device = device
        self._factors = tuple(torch.from_numpy(factor).to(device) for factor in points.narrow.factors)
        self._index = torch.from_numpy(points.index).to(device)
        coarse = torch.get_float32_matmul_precision() != "highest" and device.type == "cuda"
        self._slack = slack(points.factors) + _TF32 * coarse
        self._squares = torch.ones(len(points), device=device)
        for factor in self._factors:
            self._squares *= factor.square().sum(1)
        self._bound = torch.full_like(self._squares, torch.inf)
        self.squares: Steps = self._squares.cpu().numpy()

    def cover(self, centres: Points) -> Index:
        """|u|²(1 + 2ε) + |c|²(1 + ε) - 2u·c, the least over centres, where it is below the bound."""
        theirs = [torch.from_numpy(factor).to(self._device) for factor in centres.narrow.factors]
        reach = torch.from_numpy(centres.squares * (1.0 + self._slack)).to(self._device, torch.float32)
        for rows in _runs(len(self._bound), len(centres)):
            products = -2.0 * self._factors[0][rows] @ theirs[0].T
            for mine, other in zip(self._factors[1:], theirs[1:], strict=True):
                products *= mine[rows] @ other.T
            least = products.add_(reach).amin(1) + self._squares[rows] * (1.0 + 2.0 * self._slack)
            torch.minimum(self._bound[rows], least, out=self._bound[rows])
        near = (self._bound > 0.0) & (self._bound <= NEAR * self._slack * self._squares)
        return _rows(near)

    def bound(self, rows: Index) -> Floats:
        """The bounds of `rows`."""
        chosen: Floats = self._bound[torch.from_numpy(rows).to(self._device)].double().cpu().numpy()
        return chosen

    def settle(self, rows: Index, squares: Floats) -> None:
        """Set the bounds of `rows` to these D², or hardly more."""
        bounds = torch.from_numpy(squares * ROUNDED_UP).to(self._device, torch.float32)
        self._bound[torch.from_numpy(rows).to(self._device)] = bounds

    def forget(self) -> None:
        """All bounds to infinity."""
        self._bound.fill_(torch.inf)

    def total(self) -> float:
        """The sum of all bounds."""
        return float(self._bound.sum(dtype=torch.float64))

    def top(self, count: int) -> tuple[Index, float]:
        """The `count` rows of the largest bounds, or all, and the largest bound of the others."""
        if count >= len(self._bound):
            return np.arange(len(self._bound)), 0.0
        largest = self._bound.topk(count + 1)
        rows: Index = largest.indices[:count].cpu().numpy()
        return rows, float(largest.values[count])

    def due(self, radius: float | None, key: int, times: tuple[float, float]) -> Index:
        """Rows whose first number is due in between."""
        found = [np.zeros(0, dtype=np.int64)]
        for rows in _runs(len(self._index), 1):
            own = self._bound[rows].double() if radius is None else (self._squares[rows].double().sqrt() + radius) ** 2
            number = _numbers(self._index[rows], key)
            hit = number <= own * times[1] + 2.0**-53
            if times[0] > 0.0:
                hit &= number > own * times[0] + 2.0**-53
            found.append(_rows(hit) + rows.start)
        return np.concatenate(found)


def _numbers(index: Tensor, key: int) -> Tensor:
    """`uniform_keys` on the device: int64 products wrap as unsigned ones do, shifts are made logical."""
    bits = index * _signed(int(GOLDEN)) + _signed(key)
    bits = (bits ^ _shifted(bits, 30)) * _signed(int(MIX_A))
    bits = (bits ^ _shifted(bits, 27)) * _signed(int(MIX_B))
    bits = bits ^ _shifted(bits, 31)
    return (_shifted(bits, 11).double() + 1.0) * 2.0**-53


def _shifted(bits: Tensor, by: int) -> Tensor:
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word


def _rows(mask: Tensor) -> Index:
    found: Index = mask.nonzero()[:, 0].cpu().numpy()
    return found


def _runs(count: int, centres: int) -> list[slice]:
    step = max(1, _CELLS // max(centres, 8))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]
