"""The inner loops that numba compiles: one thread each, and no array of size n x m.

A point of norm |u| is at least ||u| - |c|| away from a centre of norm |c|. With both sorted by norm, the centres
that can be nearest to a point are a run around its own norm, usually a short one. Sums may be reordered, since
float32 ones are only bounds and float64 ones of points on the grid are exact. Axes: n points, m centres, c columns.
"""

import numpy as np
from numba import njit

from negsift.common.arrays import Floats, Index
from negsift.common.rng import GOLDEN, MIX_A, MIX_B
from negsift.service.kmeanspp import thinning
from negsift.service.kmeanspp.points import Steps

Four = tuple[float, float, float, float]

thin_out = njit(nogil=True, cache=True)(thinning.thin_out)


@njit(fastmath=True, nogil=True, cache=True)
def squared_norms(x_nc: Steps) -> Steps:
    """|u|² of every point in float32, (n,)."""
    squares_n = np.empty(len(x_nc), np.float32)
    for n in range(len(x_nc)):
        square = np.float32(0.0)
        for c in range(x_nc.shape[1]):
            square += x_nc[n, c] * x_nc[n, c]
        squares_n[n] = square
    return squares_n


@njit(fastmath=True, nogil=True, cache=True)
def sketch(x_nc: Steps, basis_rc: Steps, slack: float) -> tuple[Steps, Steps]:
    """|u|² of every point, (n,), and its coordinates in three directions and distance from their span, (4, n).

    The squared distance is raised by `slack` of |u|². All three at once take a third more time than |u|² alone.
    """
    squares_n, columns = np.empty(len(x_nc), np.float32), np.empty((4, len(x_nc)), np.float32)
    basis_0, basis_1, basis_2 = basis_rc[0], basis_rc[1], basis_rc[2]
    for n in range(len(x_nc)):
        x_c = x_nc[n]
        square = z_0 = z_1 = z_2 = np.float32(0.0)
        for c in range(x_nc.shape[1]):
            x = x_c[c]
            square, z_0, z_1, z_2 = square + x * x, z_0 + x * basis_0[c], z_1 + x * basis_1[c], z_2 + x * basis_2[c]
        squares_n[n], columns[0, n], columns[1, n], columns[2, n] = square, z_0, z_1, z_2
    more = np.float32(slack)
    for n in range(len(x_nc)):
        rest = squares_n[n] - columns[0, n] ** 2 - columns[1, n] ** 2 - columns[2, n] ** 2
        columns[3, n] = np.sqrt(max(rest, np.float32(0.0)) + more * squares_n[n])
    return squares_n, columns


@njit(fastmath=True, nogil=True, cache=True)
def lower_by_sketch(points: tuple[Steps, Steps], centres: tuple[Steps, Steps], bound_n: Steps, scales: Steps) -> Index:
    """bound = min(bound, above · |u|² + Σ columns · weights + |c|²); gives the rows with 0 < bound ≤ near · |u|².

    `points` are columns (4, n) and squares (n,), `centres` weights (m, 4) and squares (m,), `scales` above and near.
    """
    above, near = scales[0], scales[1]
    (columns, squares_n), (weights_mr, squares_m) = points, centres
    rows, count = np.empty(len(bound_n), np.int64), 0
    for start in range(0, len(bound_n), 1024):
        run = slice(start, start + 1024)
        z_0, z_1, z_2, p = columns[0, run], columns[1, run], columns[2, run], columns[3, run]
        square, bound, found = squares_n[run], bound_n[run], 0
        for m in range(len(squares_m)):
            w_0, w_1, w_2, w_p = weights_mr[m, 0], weights_mr[m, 1], weights_mr[m, 2], weights_mr[m, 3]
            square_m = squares_m[m]
            for n in range(len(bound)):
                gap = square[n] * above + square_m + z_0[n] * w_0 + z_1[n] * w_1 + z_2[n] * w_2 + p[n] * w_p
                bound[n] = min(bound[n], gap)
        for n in range(len(bound)):
            found += (bound[n] > 0.0) & (bound[n] <= near * square[n])
        if found:
            for n in range(len(bound)):
                if bound[n] > 0.0 and bound[n] <= near * square[n]:
                    rows[count] = start + n
                    count += 1
    return rows[:count].copy()


@njit(nogil=True, cache=True)
def _hash(index: np.int64, key: np.uint64) -> np.uint64:
    """As in `rng.uniform_keys`."""
    bits = np.uint64(index) * GOLDEN + key
    bits = (bits ^ (bits >> np.uint64(30))) * MIX_A
    bits = (bits ^ (bits >> np.uint64(27))) * MIX_B
    return bits ^ (bits >> np.uint64(31))


@njit(nogil=True, cache=True, error_model="numpy")
def first_times(index: Index, rate_n: Steps, key: np.uint64, times_n: Steps) -> None:
    """A lower bound of each point's first arrival time, (n,), as `point_backend.earliest` of `rng.uniform_keys`."""
    for n in range(len(index)):
        uniform = np.float32(np.int64(_hash(index[n], key) >> np.uint64(11))) * np.float32(2.0**-53)
        times_n[n] = uniform / rate_n[n]


@njit(nogil=True, cache=True)
def small_hashes(index: Index, key: np.uint64, share: float) -> Index:
    """The rows whose hash is among the smallest `share` of all there can be, and perhaps one of the next."""
    limit, rows, count = np.uint64(share * 2.0**64), np.empty(len(index), np.int64), 0
    hash_n = np.empty(1024, np.uint64)
    for start in range(0, len(index), 1024):
        run, least = index[start : start + 1024], ~np.uint64(0)
        for n in range(len(run)):
            hash_n[n] = _hash(run[n], key)
            least = min(least, hash_n[n])
        if least <= limit:
            for n in range(len(run)):
                if hash_n[n] <= limit:
                    rows[count] = start + n
                    count += 1
    return rows[:count].copy()


@njit(nogil=True, cache=True)
def lower_to_nearest(points: tuple[Floats, Floats, Index], centres: tuple[Floats, Floats], gap_n: Floats) -> None:
    """gap = min(gap, (|c|² - 2u·c) + |u|²) over the centres near enough in norm to matter.

    `points` are their rows (n, c), squared norms and order by norm; `centres` are sorted by norm: their rows
    (m, c) and squared norms. Blocks of 4 x 2 were quicker than 4 x 1, 4 x 4 and 8 x 1.
    """
    (x_nc, squares_n, order), (c_mc, squares_m) = points, centres
    norms_m, last_n, last_m = np.sqrt(squares_m), len(order) - 1, len(c_mc) - 1
    for start in range(0, len(order), 4):
        i = order[start], order[min(start + 1, last_n)], order[min(start + 2, last_n)], order[min(start + 3, last_n)]
        low, high = np.sqrt(squares_n[i[0]]), np.sqrt(squares_n[i[3]])
        up = np.searchsorted(norms_m, low)  # the centres from here on, and those before, are still to be compared
        down = up - 2
        while True:
            above = norms_m[up] - high if up <= last_m else np.inf
            below = low - norms_m[min(down + 1, last_m)] if down > -2 else np.inf
            apart = max(min(above, below), 0.0)
            widest = max(max(gap_n[i[0]], gap_n[i[1]]), max(gap_n[i[2]], gap_n[i[3]]))
            if apart == np.inf or apart * apart > widest * (1.0 + 1e-9) + 4e-11 * high * high:
                break
            j = up if above <= below else max(down, 0)
            k = min(j + 1, last_m)
            products_j, products_k = _products(x_nc, i, c_mc[j], c_mc[k])
            for r in range(4):
                least = min(squares_m[j] - 2.0 * products_j[r], squares_m[k] - 2.0 * products_k[r])
                gap_n[i[r]] = min(gap_n[i[r]], least + squares_n[i[r]])
            if above <= below:
                up += 2
            else:
                down -= 2


@njit(fastmath=True, nogil=True, cache=True)
def _products(x_nc: Floats, i: tuple[int, int, int, int], left_c: Floats, right_c: Floats) -> tuple[Four, Four]:
    """Inner products of the points in four rows with two centres."""
    x0, x1, x2, x3 = x_nc[i[0]], x_nc[i[1]], x_nc[i[2]], x_nc[i[3]]
    l0 = l1 = l2 = l3 = r0 = r1 = r2 = r3 = 0.0
    for c in range(x_nc.shape[1]):
        left, right = left_c[c], right_c[c]
        l0, l1, l2, l3 = l0 + x0[c] * left, l1 + x1[c] * left, l2 + x2[c] * left, l3 + x3[c] * left
        r0, r1, r2, r3 = r0 + x0[c] * right, r1 + x1[c] * right, r2 + x2[c] * right, r3 + x3[c] * right
    return (l0, l1, l2, l3), (r0, r1, r2, r3)
