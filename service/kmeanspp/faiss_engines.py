"""FAISS's own seedings, over points gathered in one place.

Each gives distinct positions, as many as asked for or all; scores are computed here, exactly. Unlike BADGE's, the
first centre is any point with equal chances.
"""

from collections.abc import Callable

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.errors import BadInput
from negsift.common.rng import stream_key, uniform_keys
from negsift.service.kmeanspp.points import Points, Steps, squared_gaps
from negsift.service.kmeanspp.seeding import Seeding, SeedingSpec

Engine = Callable[[Points, SeedingSpec], Seeding]

_MOST_BYTES = 2 << 30


def faiss_kmeanspp(points: Points, spec: SeedingSpec) -> Seeding:
    """FAISS's k-means++ over all points; only its Clustering samples points first."""
    return _complete(points, _seed(points, spec, "KMEANS_PLUS_PLUS"), spec)


def faiss_afkmc2(points: Points, spec: SeedingSpec) -> Seeding:
    """FAISS's AFK-MC² (Bachem et al., NeurIPS 2016): approximate D² sampling by Markov chains of 50 steps."""
    return _complete(points, _seed(points, spec, "AFK_MC2"), spec)


ENGINES: dict[str, Engine] = {"faiss": faiss_kmeanspp, "faiss_afkmc2": faiss_afkmc2}
"""By the names of `strategy.engine`, which also has `exact`: `d2_sampling`."""


def _seed(points: Points, spec: SeedingSpec, method: str) -> Index:
    """The rows that FAISS chooses. It gives vectors, which are copies of rows: equal bytes identify them."""
    rows_nc, count = tensor_products(points), min(spec.count, len(points))
    if not count:
        return np.zeros(0, dtype=np.int64)
    import faiss  # it brings an OpenMP runtime of its own, which only its engines need

    seeding = faiss.ClusteringInitialization(rows_nc.shape[1], count)  # type: ignore[attr-defined]  # not in its stubs
    seeding.method = getattr(faiss, f"ClusteringInitMethod_{method}")
    seeding.seed = stream_key(spec.seed, "badge-faiss", spec.epoch) % 2**31
    vectors = np.zeros((count, rows_nc.shape[1]), dtype=np.float32)
    seeding.init_centroids(len(rows_nc), faiss.swig_ptr(rows_nc), faiss.swig_ptr(vectors))
    return _rows_of(rows_nc, vectors)


def _rows_of(rows_nc: Steps, vectors: Steps) -> Index:
    """The first row equal to each vector, bit for bit."""
    keys, rows = {vector.tobytes() for vector in vectors}, dict[bytes, int]()
    for row, values in enumerate(rows_nc):
        key = values.tobytes()
        if key in keys:
            rows.setdefault(key, row)
    return np.array([rows[vector.tobytes()] for vector in vectors], dtype=np.int64)


def tensor_products(points: Points) -> Steps:
    """The points as one matrix (n, columns); raises BadInput if it takes more than 2 GiB."""
    size_bytes = 4 * len(points) * int(np.prod([factor.shape[1] for factor in points.factors]))
    if size_bytes > _MOST_BYTES:
        raise BadInput(
            f"{size_bytes >> 20} MiB of gradients as one matrix",
            f"at most {_MOST_BYTES >> 20}",
            "use strategy.engine=exact, which doesn't build it",
        )
    product_nc, *others = points.factors32
    for factor_nc in others:
        product_nc = (product_nc[:, :, None] * factor_nc[:, None, :]).reshape(len(points), -1)
    return np.ascontiguousarray(product_nc)


def _complete(points: Points, rows: Index, spec: SeedingSpec) -> Seeding:
    """The rows without those that lie on an earlier one, filled up in the order of a hash."""
    kept, score = _distinct(points, rows)
    missing = min(spec.count, len(points)) - len(kept)
    free = np.setdiff1d(np.arange(len(points)), kept)
    uniform_n = uniform_keys(stream_key(spec.seed, "badge-fill", spec.epoch), points.index[free])
    filling = free[np.lexsort((points.index[free], uniform_n))][:missing]
    index = points.index[np.concatenate([kept, filling])]
    return Seeding(index, np.append(score, np.zeros(missing)), missing, centres=points.take(kept).as_float32())


def _distinct(points: Points, rows: Index) -> tuple[Index, Floats]:
    """The rows at a distance from all before them, and its square; of the first row the squared norm."""
    chosen, score = points.take(rows), np.zeros(len(rows))
    for place in range(1, len(rows)):
        score[place] = squared_gaps(chosen.take(slice(place, place + 1)), chosen.take(slice(place))).min()
    score[:1] = chosen.squares[:1]
    apart = (score > 0.0) | (np.arange(len(rows)) == 0)
    return rows[apart], score[apart]
