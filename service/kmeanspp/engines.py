"""Other ways to seed, over points in one place: oracles of the exact engine, and FAISS's own.

Each gives distinct positions, as many as are wanted or all; scores are computed here, exactly, whoever
chose. What differs from BADGE is said in each one's line.
"""

from collections.abc import Callable

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.errors import BadInput
from negsift.common.rng import generator, stream_key, uniform_keys
from negsift.service.kmeanspp.messages import Seeding
from negsift.service.kmeanspp.point_pool import SeedingSpec
from negsift.service.kmeanspp.points import Points, Steps, squared_gaps

Engine = Callable[[Points, SeedingSpec], Seeding]

_MOST_BYTES = 2 << 30


def sequential(points: Points, wanted: SeedingSpec) -> Seeding:
    """The plain algorithm: one pass a centre, each drawn by inverting the running sum of D²."""
    rows, nearest = _first(points, wanted), np.full(len(points), np.inf)
    draws = uniform_keys(stream_key(wanted.seed, "badge", wanted.epoch), np.arange(wanted.count))
    while 0 < len(rows) < min(wanted.count, len(points)):
        np.minimum(nearest, squared_gaps(points, points.take(rows[-1:]))[:, 0], out=nearest)
        running = np.cumsum(nearest)
        if running[-1] == 0.0:
            break
        rows = np.append(rows, np.searchsorted(running, draws[len(rows)] * running[-1]))
    return _complete(points, rows, wanted)


def sklearn(points: Points, wanted: SeedingSpec) -> Seeding:
    """scikit-learn's kmeans_plusplus with one trial a centre, as D² sampling has; its first centre is any point."""
    count = min(wanted.count, len(points))
    if not count:
        return _complete(points, _NONE, wanted)
    from sklearn.cluster import kmeans_plusplus  # imported here: only this engine needs it

    random = int(generator(wanted.seed, "badge-sklearn", wanted.epoch).integers(2**31))
    _, rows = kmeans_plusplus(_product(points).astype(np.float64), count, random_state=random, n_local_trials=1)
    return _complete(points, rows.astype(np.int64), wanted)


def faiss_kmeanspp(points: Points, wanted: SeedingSpec) -> Seeding:
    """FAISS's k-means++ over all points (it sub-samples in its Clustering only); its first centre is any point."""
    return _complete(points, _faiss(points, wanted, "KMEANS_PLUS_PLUS"), wanted)


def faiss_afkmc2(points: Points, wanted: SeedingSpec) -> Seeding:
    """FAISS's AFK-MC² (Bachem et al., NeurIPS 2016): D² sampling by Markov chains of 50 steps, so approximate."""
    return _complete(points, _faiss(points, wanted, "AFK_MC2"), wanted)


ENGINES: dict[str, Engine] = {
    "sequential": sequential,
    "sklearn": sklearn,
    "faiss": faiss_kmeanspp,
    "faiss_afkmc2": faiss_afkmc2,
}
_NONE = np.zeros(0, dtype=np.int64)


def _first(points: Points, wanted: SeedingSpec) -> Index:
    """The row of the longest point, or of the smallest hash; ties by position; none of no points."""
    key = stream_key(wanted.seed, "badge-first", wanted.epoch)
    order = uniform_keys(key, points.index) if wanted.random_first else -points.squares
    return np.lexsort((points.index, order))[: min(1, wanted.count)]


def _faiss(points: Points, wanted: SeedingSpec, method: str) -> Index:
    """The rows FAISS seeds with: it gives vectors, which are copies of rows, so these are found by their bytes."""
    rows, count = np.ascontiguousarray(_product(points)), min(wanted.count, len(points))
    if not count:
        return _NONE
    import faiss  # imported here: it brings an OpenMP runtime of its own, which only its engines need

    seeding = faiss.ClusteringInitialization(rows.shape[1], count)  # type: ignore[attr-defined]  # not in its stubs
    seeding.method = getattr(faiss, f"ClusteringInitMethod_{method}")
    seeding.seed = stream_key(wanted.seed, "badge-faiss", wanted.epoch) % 2**31
    found = np.zeros((count, rows.shape[1]), dtype=np.float32)
    seeding.init_centroids(len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(found))
    return _rows_of(rows, found)


def _rows_of(rows: Steps, found: Steps) -> Index:
    """The first row equal to each vector found, bit for bit."""
    places: dict[bytes, int] = {}
    wanted = {vector.tobytes() for vector in found}
    for at, row in enumerate(rows):
        content = row.tobytes()
        if content in wanted:
            places.setdefault(content, at)
    return np.array([places[vector.tobytes()] for vector in found], dtype=np.int64)


def _product(points: Points) -> Steps:
    """The points as one matrix (n, columns); of several factors, their tensor products."""
    columns = int(np.prod([factor.shape[1] for factor in points.factors]))
    if 4 * columns * len(points) > _MOST_BYTES:
        raise BadInput(
            f"{4 * columns * len(points) >> 20} MiB of gradients as one matrix",
            f"at most {_MOST_BYTES >> 20}",
            "use strategy.engine=exact, which doesn't build it",
        )
    product = points.narrow.factors[0]
    for factor in points.narrow.factors[1:]:
        product = (product[:, :, None] * factor[:, None, :]).reshape(len(points), -1)
    return product.astype(np.float32, copy=False)


def _complete(points: Points, rows: Index, wanted: SeedingSpec) -> Seeding:
    """Without the rows that lie on an earlier one; what is missing in the order of a hash."""
    kept, score = _distinct(points, rows)
    missing = min(wanted.count, len(points)) - len(kept)
    free = np.setdiff1d(np.arange(len(points)), kept)
    number = uniform_keys(stream_key(wanted.seed, "badge-fill", wanted.epoch), points.index[free])
    left = free[np.lexsort((points.index[free], number))][:missing]
    index = points.index[np.concatenate([kept, left])]
    return Seeding(index, np.concatenate([score, np.zeros(missing)]), missing, centres=points.take(kept).narrow)


def _distinct(points: Points, rows: Index) -> tuple[Index, Floats]:
    """Rows at a distance from all before them, and its square; the first one's squared norm."""
    chosen, score = points.take(rows), np.zeros(len(rows))
    for at in range(1, len(rows)):
        score[at] = squared_gaps(chosen.take(slice(at, at + 1)), chosen.take(slice(at))).min()
    score[:1] = chosen.squares[:1]
    apart = (score > 0.0) | (np.arange(len(rows)) == 0)
    return rows[apart], score[apart]
