"""k-centre greedy (farthest first; Gonzalez 1985) over points that shards hold, in a few rounds.

Distances only fall as centres are added, so a bound from an earlier pass still holds: as long as the
farthest of the points that were sent is farther than any other point can be, it is the farthest of all.
"""

from collections.abc import Sequence

import numpy as np

from negsift.common.arrays import Floats
from negsift.service.kmeanspp.arrival_scan import Centres
from negsift.service.kmeanspp.messages import EMPTY, FarthestPoints, RateBasis, Seeding
from negsift.service.kmeanspp.point_pool import PointPool, SeedingSpec, SeedingStart
from negsift.service.kmeanspp.points import Points, squared_gaps
from negsift.service.kmeanspp.queries import FindFarthest

_LEAST, _PER_CENTRE = 256, 4


def farthest_first(pool: PointPool, wanted: SeedingSpec) -> Seeding:
    """`wanted.count` points, each the farthest from those before (ties by index), or all if there are fewer.

    Their largest distance to a centre is at most twice the least possible.
    """
    start = SeedingStart.of(pool, wanted)
    if start is None:
        return EMPTY
    centres, asked = start.centres, 0
    while centres.count < centres.room:
        asked = max(_LEAST, _PER_CENTRE * (centres.room - centres.count), 2 * asked)
        before = centres.count
        points, square, rest = _merge(start.books.ask(FindFarthest(RateBasis(centres.since(0).narrow), asked)))
        if not len(points):
            break
        _take_farthest(points, square, rest, centres)
        asked = 0 if centres.count > before else asked  # more of them, where bounds were too close to tell
    return start.complete(wanted)


def _merge(parts: Sequence[FarthestPoints]) -> tuple[Points, Floats, float]:
    """The points of all shards that are no centre, by index; and the largest bound of those not sent."""
    index = np.concatenate([part.points.index for part in parts])
    square = np.concatenate([part.square for part in parts])[np.argsort(index, kind="stable")]
    points, rows = Points.merge([part.points for part in parts]), np.flatnonzero(square > 0.0)
    return points.take(rows), square[rows], max(part.rest for part in parts)


def _take_farthest(points: Points, square: Floats, rest: float, centres: Centres) -> None:
    """Add the farthest again and again while it is beyond all that weren't sent."""
    while centres.count < centres.room:
        row = int(square.argmax())
        if square[row] <= rest:
            return
        chosen = points.take(slice(row, row + 1))
        centres.add(chosen, square[row : row + 1])
        np.minimum(square, squared_gaps(points, chosen)[:, 0], out=square)
