"""Cluster-Margin (Citovsky et al., NeurIPS 2021, arXiv 2107.14263, Alg. 2)."""

from dataclasses import dataclass, replace

import numpy as np

from negsift.common.arrays import Array, Index
from negsift.common.errors import BadInput
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.types import Candidates, Need, Picked, Round
from negsift.service.strategies.base import PoolView, Prepared, Strategy
from negsift.service.strategies.margin import Margin

MOST_CANDIDATES = 20_000


@dataclass(frozen=True)
class ClusterMargin(Strategy):
    """The `keep`·k smallest margins, clustered by features; one of each cluster in turn, small clusters first."""

    keep: int = 10

    need = Need.FEATURES
    imports = ("sklearn.cluster",)

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        """Bags in the order of the turns; a bag's score is its margin's.

        The paper clusters the pool's embeddings once; here weights change every epoch, so only the candidates are
        clustered, every time: average linkage into k clusters.
        """
        picked = view.top_k(Margin(), {}, replace(round, k=self.keep * round.k))
        best = picked.candidates
        if len(best.index) > MOST_CANDIDATES:
            raise BadInput(
                f"{len(best.index)} bags to cluster", f"at most {MOST_CANDIDATES:,}", "lower strategy.keep or k"
            )
        if not len(best.index):
            return picked
        order = np.argsort(best.index)
        features = view.embed_pool(self.embedding_spec(round), best.index[order]).features
        finite = np.isfinite(features).all(1)
        index, score = best.index[order][finite], best.score[order][finite]
        key = stream_key(round.seed, "cluster-margin", round.epoch)
        rows = turns(clusters(features[finite], round.k), uniform_keys(key, index))[: round.k]
        dropped = best.dropped + int((~finite).sum())
        return replace(picked, candidates=Candidates(index[rows], score[rows], best.seen, dropped))


def clusters(features: Array, count: int) -> Index:
    """The cluster of each row, (n,): average linkage of Euclidean distances, cut at `count` clusters."""
    if count >= len(features):
        return np.arange(len(features), dtype=np.int64)
    from sklearn.cluster import AgglomerativeClustering  # imported here: scorers don't need it, and start sooner

    labels: Index = AgglomerativeClustering(count, linkage="average").fit_predict(features.astype(np.float64))
    return labels.astype(np.int64)


def turns(cluster: Index, key: Array) -> Index:
    """All rows, one of each cluster in turn: clusters by size, then by their smallest row; within one by `key`."""
    _, first, member, size = np.unique(cluster, return_index=True, return_inverse=True, return_counts=True)
    place = np.zeros(len(cluster), dtype=np.int64)
    order = np.lexsort((key, member))
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
    return np.lexsort((first[member], size[member], place))
