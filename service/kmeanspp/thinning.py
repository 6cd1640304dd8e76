"""The innermost loop of D² sampling: it thins a block of arrivals that may still be kept.

The function is plain Python that `numba_kernels` compiles as it stands. Axes: m arrivals of a block.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from negsift.common.arrays import Floats, Index


class ArrivalBlock(NamedTuple):
    """Arrivals in the order of time, each array (m,)."""

    place: Index
    """The number of each among all arrivals that were scanned with the block, thinned out or not."""
    threshold: Floats
    """mark · rate: an arrival is kept if D² is above it."""
    gap: Floats
    """D² to the centres before the block, lowered in place as arrivals are kept."""


def thin_out(block: ArrivalBlock, gaps_mm: Floats, limits: Floats, first: int) -> tuple[Index, int, bool]:
    """Keep arrivals from row `first` on until something has to be decided.

    Each arrival kept is a new centre, which lowers D² of the arrivals after it. With j kept so far, the
    phase ends before the arrival at place `limits[j]`; len(limits) arrivals are kept at most. Gives the
    rows kept, the row to continue from, and whether that row is beyond the limit.
    """
    place_m, threshold_m, gap_m = block
    kept, count = np.empty(len(limits), np.int64), 0
    for row in range(first, len(place_m)):
        if place_m[row] >= limits[count]:
            return kept[:count], row, True
        if threshold_m[row] < gap_m[row]:
            kept[count] = row
            count += 1
            gap_m[row + 1 :] = np.minimum(gap_m[row + 1 :], gaps_mm[row, row + 1 :])
            if count == len(limits):
                return kept[:count], row + 1, False
    return kept[:count], len(place_m), False


Thinning = Callable[[ArrivalBlock, Floats, Floats, int], tuple[Index, int, bool]]
"""`thin_out` or its compiled form."""
