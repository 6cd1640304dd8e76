"""What a shard does with every point it holds, in numpy: the portable body.

All of it is float32 and only ever an upper bound or a filter, so that other bodies may round
differently without changing a pick. Axes: n points, m centres, c columns.
"""

from typing import Protocol

import numpy as np

from common.rng import uniform_keys
from common.types import Array, Floats, Index
from service.kmeanspp.points import Points, Steps

_ROWS, _CELLS = 1 << 13, 1 << 20


class Body(Protocol):
    """The loops over points that cost; every body gives valid bounds and every point it must."""

    def squares(self, factors: tuple[Array, ...]) -> Steps:
        """|u|² of every point, (n,), within a relative error of `slack`."""

    def cover(self, factors: tuple[Array, ...], squares: Steps, centres: Points, bound: Steps) -> None:
        """Lower `bound` (n,) in place to an upper bound of the squared distance to `centres`."""

    def due(self, index: Index, rate: Steps, key: int, times: tuple[float, float]) -> Index:
        """Rows whose first number in the race is above rate·times[0] (0: any) and at most rate·times[1]."""


def slack(factors: tuple[Array, ...]) -> float:
    """ε with |fl(u·c) - u·c| ≤ ε |u| |c| for float32 products in any order of summation (Higham 2002, §3.1)."""
    return float(sum(factor.shape[1] for factor in factors) + 8) * 2.0**-24


class NumpyBody:
    """Matrix products by BLAS over runs of rows that stay in the cache."""

    def squares(self, factors: tuple[Array, ...]) -> Steps:
        """|u|² of every point, (n,)."""
        found = np.ones(len(factors[0]), dtype=np.float32)
        for factor in factors:
            found *= np.einsum("nc,nc->n", factor, factor)
        return found

    def cover(self, factors: tuple[Array, ...], squares: Steps, centres: Points, bound: Steps) -> None:
        """|u|²(1 + 2ε) + |c|²(1 + ε) - 2u·c, the least over centres, where it is below `bound`."""
        epsilon = slack(factors)
        minus_twice = (np.float32(-2.0) * centres.factors[0], *centres.factors[1:])
        reach = (centres.squares * (1.0 + epsilon)).astype(np.float32)[:, None]
        for rows in _runs(len(bound), len(centres)):
            products = minus_twice[0] @ factors[0][rows].T
            for mine, theirs in zip(factors[1:], minus_twice[1:], strict=True):
                products *= theirs @ mine[rows].T
            products += reach
            least = products.min(0) + squares[rows] * np.float32(1.0 + 2.0 * epsilon)
            np.minimum(bound[rows], least, out=bound[rows])

    def due(self, index: Index, rate: Steps, key: int, times: tuple[float, float]) -> Index:
        """Rows whose first number is due in between."""
        found = []
        for rows in _runs(len(index), 1):
            number, per_time = uniform_keys(key, index[rows]), rate[rows].astype(np.float64)
            hit = number <= threshold(per_time, times[1])
            if times[0] > 0.0:
                hit &= number > threshold(per_time, times[0])
            found.append(np.flatnonzero(hit) + rows.start)
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def threshold(rate: Floats, time: float) -> Floats:
    """The largest first number that may arrive by `time`: 1 - exp(-w t) ≤ w t, and 0 has the probability 2^-53."""
    return rate * time + 2.0**-53


def _runs(count: int, centres: int) -> list[slice]:
    step = max(256, min(_ROWS, _CELLS // max(centres, 1)))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]
