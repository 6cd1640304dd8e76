"""Plain k-means++ seedings, one pass over all points for every centre, which the exact one is compared with."""

import numpy as np
from sklearn.cluster import kmeans_plusplus

from negsift.common.arrays import Array, Index
from negsift.common.rng import stream_key, uniform_keys
from negsift.service.kmeanspp.points import Points, squared_gaps
from negsift.service.kmeanspp.seeding import SeedingSpec


def sequential(points: Points, spec: SeedingSpec) -> Index:
    """Rows, the longest point's first, each other drawn by inverting the running sum of D², while that is not 0."""
    count, gaps = min(spec.count, len(points)), np.full(len(points), np.inf)
    rows = np.lexsort((points.index, -points.squares))[: min(1, count)]
    draws = uniform_keys(stream_key(spec.seed, "badge", spec.epoch), np.arange(spec.count))
    while 0 < len(rows) < count:
        np.minimum(gaps, squared_gaps(points, points.take(rows[-1:]))[:, 0], out=gaps)
        running = np.cumsum(gaps)
        if running[-1] == 0.0:
            break
        rows = np.append(rows, np.searchsorted(running, draws[len(rows)] * running[-1]))
    return rows


def by_sklearn(rows: Array, count: int, seed: int, trials: int = 1) -> Index:
    """Rows drawn by scikit-learn, the first one with equal chances.

    One trial a centre is D² sampling; of several it keeps the best, which is another distribution.
    """
    index: Index = kmeans_plusplus(rows, count, random_state=seed, n_local_trials=trials)[1]
    return index
