"""The innermost loop of the walk: arrivals that may be kept, one after the other; each kept one lowers the rest.

It runs until something has to be decided: so many are kept, a short one is, or an arrival is beyond the
limit. Axes: m arrivals of a block.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.backends import compiled_for
from negsift.service.kmeanspp.points import Points


@dataclass(frozen=True)
class ArrivalBlock:
    """What is left of a block of arrivals, (m,): points, their places among all, what D² must exceed, D² and
    whether a centre there would be much shorter than all before.
    """

    points: Points
    place: Index
    threshold: Floats
    distance: Floats
    small: NDArray[np.bool_]


Thinning = Callable[[ArrivalBlock, Floats, Floats, int], tuple[Index, int, bool]]
"""(block, gaps (m, m), limits, first) to: rows kept, the row to go on from, whether that one is beyond the limit.

With j kept so far, `limits[j]` is the place before which a checkpoint is due; it stops when all are kept.
"""


def thinning_for(points: Points) -> Thinning:
    """The loop that suits a block of such points."""
    return _compiled if compiled_for(points, len(points)) is not None else thin_out


def thin_out(block: ArrivalBlock, gaps: Floats, limits: Floats, first: int) -> tuple[Index, int, bool]:
    """From row `first` on; D² of the rows behind a kept one are lowered in place."""
    kept: list[int] = []
    place, threshold, distance = block.place.tolist(), block.threshold.tolist(), block.distance
    for at in range(first, len(place)):
        if place[at] >= limits[len(kept)]:
            return np.array(kept, dtype=np.int64), at, True
        if threshold[at] >= distance[at]:
            continue
        kept.append(at)
        np.minimum(distance[at + 1 :], gaps[at, at + 1 :], out=distance[at + 1 :])
        if len(kept) == len(limits) or block.small[at]:
            return np.array(kept, dtype=np.int64), at + 1, False
    return np.array(kept, dtype=np.int64), len(place), False


def _compiled(block: ArrivalBlock, gaps: Floats, limits: Floats, first: int) -> tuple[Index, int, bool]:
    loops = compiled_for(block.points, len(block.points))
    assert loops is not None  # else `sweep` was chosen
    kept, at, beyond = loops.sweep((block.place, block.small), block.threshold, block.distance, gaps, (limits, first))
    return kept, int(at), bool(beyond)
