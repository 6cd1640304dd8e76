"""The inner loops compiled by numba: one thread, and no array of n x m.

A point of norm |u| is at least ||u| - |c|| away from a centre of norm |c|: with both in the order of
their norms, the centres that can be nearest are a run around the point's own norm, mostly a short one.
Four points meet four centres at a time, sixteen sums that stay in registers. Sums may be reordered:
float32 ones are bounds, float64 ones of points on the grid are exact.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from negsift.common.arrays import Array, Floats, Index
from negsift.common.rng import GOLDEN, MIX_A, MIX_B

Four = tuple[int, int, int, int]
About = tuple[Index, NDArray[np.bool_]]
Until = tuple[Floats, int]
Sums = tuple[float, float, float, float]


@njit(fastmath=True, nogil=True, cache=True)
def squares(x: Array) -> Array:
    """|u|² of every point, (n,)."""
    found = np.empty(len(x), x.dtype)
    for i in range(len(x)):
        total = x[i, 0] - x[i, 0]  # zero, of the array's own type
        for j in range(x.shape[1]):
            total += x[i, j] * x[i, j]
        found[i] = total
    return found


@njit(nogil=True, cache=True)
def lower_by_near(x: Array, own: Array, order: Index, c: Array, reach: Array, norms: Floats, found: Array) -> None:
    """found = min(found, own + min of (reach - 2 u·c) over the centres near enough in norm to matter).

    `order` is the points' by norm; centres come in theirs, `norms`.
    """
    for at in range(0, len(order), 4):
        a = _four(at, len(order))
        i = order[a[0]], order[a[1]], order[a[2]], order[a[3]]
        low, high = np.sqrt(own[i[0]]), np.sqrt(own[i[3]])
        up = np.searchsorted(norms, low)
        down = up - 4
        while True:
            above = norms[up] - high if up < len(c) else np.inf
            below = low - norms[min(down + 3, len(c) - 1)] if down > -4 else np.inf
            gap, most = max(min(above, below), 0.0), max(max(found[i[0]], found[i[1]]), max(found[i[2]], found[i[3]]))
            if gap == np.inf or gap * gap > most * (1.0 + 1e-9) + 4e-11 * high * high:
                break
            first = up if above <= below else max(down, 0)
            k = _four(first, len(c))
            _lower(found, i, _products(x, i, c, k), (reach[k[0]], reach[k[1]], reach[k[2]], reach[k[3]]), own)
            if above <= below:
                up += 4
            else:
                down -= 4


@njit(nogil=True, cache=True, error_model="numpy")
def first_times(index: Index, rates: Array, key: np.uint64, radius: float) -> Array:
    """The time by which each first number may be due, (n,); rates are (√rates + radius)² if radius ≥ 0."""
    found = np.empty(len(index), np.float32)
    for at in range(len(index)):
        bits = np.uint64(index[at]) * GOLDEN + key
        bits = (bits ^ (bits >> np.uint64(30))) * MIX_A
        bits = (bits ^ (bits >> np.uint64(27))) * MIX_B
        bits ^= bits >> np.uint64(31)
        number = (np.float64(np.int64(bits >> np.uint64(11))) + 1.0) * 2.0**-53
        rate = np.float64(rates[at])
        if radius >= 0.0:
            rate = (np.sqrt(rate) + radius) ** 2
        found[at] = (number - 2.0**-53) / rate
    return found


@njit(nogil=True, cache=True)
def sweep(about: About, threshold: Floats, distance: Floats, gaps: Floats, until: Until) -> tuple[Index, int, bool]:
    """As `sweep.sweep`: `about` is the places and which rows are small, `until` the limits and the first row."""
    (place, small), (limits, first) = about, until
    kept, count = np.empty(len(limits), np.int64), 0
    for at in range(first, len(place)):
        if place[at] >= limits[count]:
            return kept[:count].copy(), at, True
        if threshold[at] >= distance[at]:
            continue
        kept[count] = at
        count += 1
        for later in range(at + 1, len(place)):
            distance[later] = min(distance[later], gaps[at, later])
        if count == len(limits) or small[at]:
            return kept[:count].copy(), at + 1, False
    return kept[:count].copy(), len(place), False


@njit(nogil=True, cache=True)
def _four(first: int, count: int) -> Four:
    """Four places from `first` on; at the end the last one again."""
    last = count - 1
    return first, min(first + 1, last), min(first + 2, last), min(first + 3, last)


@njit(fastmath=True, nogil=True, cache=True)
def _products(x: Array, i: Four, c: Array, k: Four) -> tuple[Sums, Sums, Sums, Sums]:
    """Inner products of the points at four rows `i` with the centres at four rows `k`."""
    x0, x1, x2, x3 = x[i[0]], x[i[1]], x[i[2]], x[i[3]]
    c0, c1, c2, c3 = c[k[0]], c[k[1]], c[k[2]], c[k[3]]
    zero = x0[0] - x0[0]  # of the arrays' own type
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = zero
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = zero
    for j in range(x.shape[1]):
        u0, u1, u2, u3 = x0[j], x1[j], x2[j], x3[j]
        v0, v1, v2, v3 = c0[j], c1[j], c2[j], c3[j]
        s00, s01, s02, s03 = s00 + u0 * v0, s01 + u0 * v1, s02 + u0 * v2, s03 + u0 * v3
        s10, s11, s12, s13 = s10 + u1 * v0, s11 + u1 * v1, s12 + u1 * v2, s13 + u1 * v3
        s20, s21, s22, s23 = s20 + u2 * v0, s21 + u2 * v1, s22 + u2 * v2, s23 + u2 * v3
        s30, s31, s32, s33 = s30 + u3 * v0, s31 + u3 * v1, s32 + u3 * v2, s33 + u3 * v3
    return (s00, s01, s02, s03), (s10, s11, s12, s13), (s20, s21, s22, s23), (s30, s31, s32, s33)


@njit(nogil=True, cache=True)
def _lower(found: Array, i: Four, sums: tuple[Sums, Sums, Sums, Sums], reach: Sums, own: Array) -> None:
    """found = min(found, own + min of (reach - 2 sums)) at four rows; formed in the order of `nearest`."""
    for r in range(4):
        s0, s1, s2, s3 = sums[r]
        near, far = min(reach[0] - (s0 + s0), reach[1] - (s1 + s1)), min(reach[2] - (s2 + s2), reach[3] - (s3 + s3))
        found[i[r]] = min(found[i[r]], min(near, far) + own[i[r]])
