"""k-centre greedy (farthest first; Gonzalez 1985) over points on any number of shards, in a few rounds of messages.

D² only falls as centres are added, so a bound from an earlier pass still holds: as long as the farthest of the
points that were sent is beyond the bound of all others, it is the farthest of all. Axes: n points.
"""

from collections.abc import Sequence

import numpy as np

from negsift.common.arrays import Floats
from negsift.service.kmeanspp.centres import Centres
from negsift.service.kmeanspp.messages import FarthestPoints, RateBasis
from negsift.service.kmeanspp.point_pool import PointPool
from negsift.service.kmeanspp.points import Points, squared_gaps
from negsift.service.kmeanspp.queries import FindFarthest
from negsift.service.kmeanspp.seeding import EMPTY, Seeding, SeedingRun, SeedingSpec

_LEAST, _PER_CENTRE = 256, 4  # points that a shard sends; more for more centres, which use them up


def farthest_first(pool: PointPool, spec: SeedingSpec) -> Seeding:
    """`spec.count` points, each the farthest from those before it (ties by index), or all if there are fewer.

    The largest distance of a point to its centre is at most twice the least possible.
    """
    run = SeedingRun.begin(pool, spec)
    if run is None:
        return EMPTY
    centres, count = run.centres, 0
    while centres.missing:
        count = max(_LEAST, _PER_CENTRE * centres.missing, 2 * count)
        before = centres.count
        farthest = _merge(run.pool.ask(FindFarthest(RateBasis(centres.since(0).as_float32()), count)))
        if not len(farthest.points):
            break
        _add_farthest(farthest, centres)
        count = 0 if centres.count > before else count  # twice as many where bounds were too close to tell
    return run.finish()


def _merge(parts: Sequence[FarthestPoints]) -> FarthestPoints:
    """The points of all shards that lie on no centre, sorted by index."""
    index = np.concatenate([part.points.index for part in parts])
    gap_n: Floats = np.concatenate([part.gap for part in parts])[np.argsort(index, kind="stable")]
    points, rows = Points.merge([part.points for part in parts]), np.flatnonzero(gap_n > 0.0)
    return FarthestPoints(points.take(rows), gap_n[rows], max(part.bound_of_others for part in parts))


def _add_farthest(farthest: FarthestPoints, centres: Centres) -> None:
    """Add the farthest point again and again while it is beyond all points that were not sent."""
    points, gap_n = farthest.points, farthest.gap.copy()
    while centres.missing:
        row = int(gap_n.argmax())
        if gap_n[row] <= farthest.bound_of_others:
            return
        chosen = points.take(slice(row, row + 1))
        centres.add(chosen, gap_n[row : row + 1])
        np.minimum(gap_n, squared_gaps(points, chosen)[:, 0], out=gap_n)
