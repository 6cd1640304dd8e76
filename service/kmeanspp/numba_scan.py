"""The scan of arrivals one by one, in loops that numba compiles.

A sketch is a few coordinates z in an orthonormal basis and the distance p from its span: points are at least
(|z_u - z_c|² + (p_u - p_c)²)^½ apart. Centres that a sketch shows to be too far away are passed over, the nearest
by sketch is compared first. Axes: p points, m centres, c columns, s columns of a sketch.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.points import Steps

_BLOCK = 64  # centres that are passed over at once
_MORE, _MORE_SQUARE = 1.0 + 2.0**-9, 2.0**-27  # of the gap and of |u|²: a sketch is wrong by 2^-22 of |u| + |c|


class SketchedPoints(NamedTuple):
    """Points in whole steps, (p, c), their squared norms, (p,), and sketches, (s, p)."""

    x: Steps | Floats
    square: Floats
    sketch: Steps


class KnownGaps(NamedTuple):
    """D² of each point to the first centres, `seen` of them, or a bound that is no less, (p,)."""

    gap: Floats
    seen: Index


@njit(fastmath=True, nogil=True, cache=True)
def _product(x_c: Steps, y_c: Floats) -> float:
    product = 0.0
    for c in range(len(x_c)):
        product += np.float64(x_c[c]) * y_c[c]
    return product


@njit(fastmath=True, nogil=True, cache=True)
def _look(sketch_s: Steps, sketch_sm: Steps, first: int, count: int, apart_m: Steps, least_b: Steps) -> int:
    """Squared distances by sketch of the centres from `first` to `count`, the least of each block, and the nearest."""
    apart, nearest, least = apart_m[: count - first], 0, np.float32(np.inf)
    apart[:] = np.float32(0.0)
    for s in range(len(sketch_s)):
        z, z_m = sketch_s[s], sketch_sm[s][first:count]  # a contiguous run, which vectorises
        for m in range(len(apart)):
            apart[m] += (z - z_m[m]) * (z - z_m[m])
    for block in range((len(apart) + _BLOCK - 1) // _BLOCK):
        run, lowest = apart[block * _BLOCK : (block + 1) * _BLOCK], np.float32(np.inf)
        for m in range(len(run)):
            lowest = min(lowest, run[m])
        least_b[block] = lowest
        if lowest < least:
            least, nearest = lowest, block
    start = nearest * _BLOCK
    for m in range(start, min(start + _BLOCK, len(apart))):
        if apart[m] == least:
            return m
    return start


@njit(nogil=True, cache=True)
def _lowered(
    points: SketchedPoints, row: int, centres: SketchedPoints, span: tuple[int, int],
    gap: float, enough: float, room: tuple[Steps, Steps],
) -> float:  # fmt: skip
    """The least of `gap` and D² to the centres of `span`, or any D² that is at most `enough`."""
    (first, count), (apart_m, least_b) = span, room
    x_c, square = points.x[row], points.square[row]
    nearest = _look(points.sketch[:, row], centres.sketch, first, count, apart_m, least_b)
    reach = gap * _MORE + square * _MORE_SQUARE
    if apart_m[nearest] <= reach:
        product = _product(x_c, centres.x[first + nearest])
        gap = min(gap, max((centres.square[first + nearest] - 2.0 * product) + square, 0.0))
        reach = gap * _MORE + square * _MORE_SQUARE
    for block in range((count - first + _BLOCK - 1) // _BLOCK):
        if gap <= enough:
            return gap
        if least_b[block] <= reach:
            for m in range(block * _BLOCK, min((block + 1) * _BLOCK, count - first)):
                if apart_m[m] <= reach and m != nearest:
                    product = _product(x_c, centres.x[first + m])
                    gap = min(gap, max((centres.square[first + m] - 2.0 * product) + square, 0.0))
                    reach = gap * _MORE + square * _MORE_SQUARE
    return gap


@njit(nogil=True, cache=True)
def scan(
    arrivals: tuple[Index, Floats], points: SketchedPoints, centres: SketchedPoints, progress: KnownGaps,
    count: int, limits: Floats, first: int,
) -> tuple[Index, Floats, int, bool]:  # fmt: skip
    """Keep arrivals from number `first` on, as centres number `count` and following, until something has to be decided.

    `arrivals` are rows of points and what D² has to exceed. With j kept so far, the phase ends before the arrival at
    number `limits[j]`; len(limits) arrivals are kept at most. Gives the numbers of those kept and their D² then, the
    number to continue from, and whether that is beyond the limit.
    """
    row_a, threshold_a = arrivals
    kept, gaps, found = np.empty(len(limits), np.int64), np.empty(len(limits)), 0
    most = count + len(limits)
    room = np.empty(most, np.float32), np.empty(most // _BLOCK + 1, np.float32)
    for a in range(first, len(row_a)):
        if a >= limits[found]:
            return kept[:found], gaps[:found], a, True
        row, so_far = row_a[a], count + found
        gap, enough, seen = progress.gap[row], threshold_a[a], progress.seen[row]
        if gap > enough and seen < so_far:
            gap = _lowered(points, row, centres, (seen, so_far), gap, enough, room)
            progress.gap[row] = gap
            if gap > enough:
                progress.seen[row] = so_far
        if gap > enough:
            centres.x[so_far] = points.x[row]
            centres.square[so_far] = points.square[row]
            centres.sketch[:, so_far] = points.sketch[:, row]
            kept[found], gaps[found] = a, gap  # which falls to 0 once the point arrives again
            found += 1
            if found == len(limits):
                return kept[:found], gaps[:found], a + 1, False
    return kept[:found], gaps[:found], len(row_a), False
