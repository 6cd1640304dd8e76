"""Exact k-means++ seeding (D² sampling) on factored gradients, without replacement.

Rows are snapped to a grid of 2^-20 of the largest entry, so that every float64 dot product is an
exact integer: no number of threads, order of summation or library can change a pick.
"""

import math

import numpy as np

from common.rng import stream_key, uniform_keys
from common.types import Embedded, Floats, Gradient, Index, Round

_EXACT_BITS = 53
_GRID_BITS = 20


def spread_out(embedded: Embedded, round: Round) -> tuple[Index, Floats, int]:
    """k rows of `embedded` by D² sampling of their gradients: rows (k,), squared distances (k,), filled.

    The first is the largest gradient (the BADGE authors' code; the smaller index on ties), each other
    is drawn with probability D²/ΣD², D the distance to the nearest row before it (Arthur and
    Vassilvitskii 2007). When every row left has D² = 0, the rest is filled in the order of a hash of
    (seed, epoch, index); `filled` counts those. Cost: one pass over the rows a centre.
    """
    assert embedded.gradient is not None  # the caller's strategy needs it
    rows = Rows(embedded.gradient)
    draws = uniform_keys(stream_key(round.seed, "badge", round.epoch), np.arange(round.k, dtype=np.int64))
    chosen: list[int] = []
    score: list[float] = []
    nearest = np.full(len(rows.norm), np.inf)
    for draw in draws[: len(rows.norm)]:
        row = _draw(nearest, float(draw)) if chosen else int(rows.norm.argmax())
        if row < 0:
            break
        score.append(float(nearest[row] if chosen else rows.norm[row]) * rows.unit)
        chosen.append(row)
        nearest = np.minimum(nearest, rows.distance_to(row))
        nearest[row] = 0.0
    filled = min(round.k, len(rows.norm)) - len(chosen)
    chosen += _fill(embedded, chosen, round, filled)
    return np.array(chosen, dtype=np.int64), np.array(score + [0.0] * filled), filled


class Rows:
    """Gradient rows in whole grid units: squared norms (n,), and squared distances from any row to all.

    `unit` turns squared distances back into the gradients' own scale.
    """

    def __init__(self, gradient: Gradient) -> None:
        single = gradient.left.shape[1] == 1
        right = gradient.left * gradient.right if single else gradient.right.astype(np.float64)
        self._right, right_unit = snap(right)
        self._left: Floats | None = None
        left_unit = 1.0
        if not single:
            self._left, left_unit = snap(gradient.left)
        self.unit = (right_unit * left_unit) ** 2
        self.norm = np.einsum("ng,ng->n", self._right, self._right)
        if self._left is not None:
            self.norm = self.norm * np.einsum("nr,nr->n", self._left, self._left)

    def distance_to(self, row: int) -> Floats:
        """|g - g_row|² for every row, (n,); zero where rounding would make it negative."""
        inner = self._right @ self._right[row]
        if self._left is not None:
            inner = inner * (self._left @ self._left[row])
        return np.asarray(np.maximum(self.norm + self.norm[row] - 2.0 * inner, 0.0), dtype=np.float64)


def snap(values: Floats) -> tuple[Floats, float]:
    """`values` (n, d) in whole units of a power-of-two grid, and that unit.

    The grid has 2^20 steps up to the largest entry (fewer beyond 8,192 columns), which keeps a dot
    product of two rows below 2^53.
    """
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return np.zeros_like(values), 1.0
    columns_bits = math.ceil(math.log2(max(values.shape[1], 1)))
    bits = min(_GRID_BITS, (_EXACT_BITS - columns_bits) // 2)
    exponent = math.frexp(largest)[1] - bits
    return np.rint(np.ldexp(values, -exponent)), math.ldexp(1.0, exponent)


def _draw(weight: Floats, draw: float) -> int:
    """The row at share `draw` of the running sum of weights, or -1 if all are zero."""
    running = np.cumsum(weight)
    return int(np.searchsorted(running, draw * running[-1])) if running[-1] > 0.0 else -1


def _fill(embedded: Embedded, chosen: list[int], round: Round, count: int) -> list[int]:
    free = np.setdiff1d(np.arange(len(embedded.index)), chosen)
    keys = uniform_keys(stream_key(round.seed, "badge-fill", round.epoch), embedded.index[free])
    return [int(row) for row in free[np.lexsort((embedded.index[free], keys))][:count]]
