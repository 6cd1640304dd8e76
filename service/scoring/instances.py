"""Pools whose bags share instances: every instance is encoded once a round, bags are pooled from the result.

Instances are numbered in the order of their row in the table and encoded in fixed runs, each as one
batch, so that the features don't depend on the number of shards.
"""

from concurrent.futures import Executor
from typing import TYPE_CHECKING

import numpy as np

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagSet
from negsift.common.models.bag import BagClassifier
from negsift.common.types import InstanceFeatures
from negsift.service.pool.bag_source import BagSource
from negsift.service.pool.blocks import block_count, block_index, share_blocks

if TYPE_CHECKING:
    from negsift.service.scoring.block_embedder import BlockEmbedder

_RUN = 320


def shares_instances(source: BagSource, model: object) -> bool:
    """Whether encoding instances instead of bags saves work: a BagSet with repeated rows, a BagClassifier."""
    plain = isinstance(source.dataset, BagSet) and source.collate is None
    return plain and isinstance(model, BagClassifier) and source.dataset.shares_instances  # type: ignore[attr-defined]  # a BagSet


def encode_rows(embedding: "BlockEmbedder", rows: Index, threads: Executor) -> InstanceFeatures:
    """The features of a shard's share of `rows`, each once, which are instances of its pool."""
    bags, share, rows = embedding.holding.pool.dataset, embedding.holding.share, np.unique(rows)
    assert isinstance(bags, BagSet)  # shares_instances says so

    def encode(run: int) -> InstanceFeatures:
        mine = rows[block_index(run, _RUN, len(rows))]
        told = f"run {run} of the pool's instances ({len(mine)} of them)"
        place = run, mine.tobytes()
        made = embedding.room.fit(lambda: embedding.forward.features(bags.gather_rows(mine), place), told, smaller="")
        return InstanceFeatures(mine, made)

    runs = share_blocks(block_count(len(rows), _RUN), share[1])[share[0]]
    return InstanceFeatures.merge(list(threads.map(encode, runs)))


def shared_rows(source: BagSource, index: Index) -> tuple[Index, Index]:
    """The table rows of the bags at `index`, bag by bag, and the bags' sizes."""
    bags = source.dataset
    assert isinstance(bags, BagSet)  # shares_instances says so
    return bags.rows_of(index), bags.sizes[index]
