"""Pools whose bags share instances: every instance is encoded once a round, bags are pooled from the result.

Instances are numbered in the order of their row in the table and encoded in fixed runs, each as one
batch, so that the features don't depend on the number of shards.
"""

from concurrent.futures import Executor

import numpy as np
import torch

from common.data.bagset import BagSet
from common.models.bag import BagClassifier
from common.models.embed import to_numpy
from common.types import Index, InstanceFeatures
from service.partition import block_count, block_index, share_blocks
from service.room import Room
from service.source import BagSource

_RUN = 320


def shares_instances(source: BagSource, model: object) -> bool:
    """Whether encoding instances instead of bags saves work: a BagSet with repeated rows, a BagClassifier."""
    plain = isinstance(source.dataset, BagSet) and source.collate is None
    return plain and isinstance(model, BagClassifier) and source.dataset.shares_instances  # type: ignore[attr-defined]  # a BagSet


def encode_rows(
    model: BagClassifier, source: BagSource, share: tuple[int, int], threads: Executor, room: Room
) -> InstanceFeatures:
    """The features of share `share[0]` of `share[1]` of the source's distinct instances."""
    bags = source.dataset
    assert isinstance(bags, BagSet)  # shares_instances says so
    rows, device = np.unique(bags.rows), model.head.weight.device

    def encode(run: int) -> InstanceFeatures:
        mine = rows[block_index(run, _RUN, len(rows))]

        def features() -> InstanceFeatures:
            with torch.inference_mode():
                return InstanceFeatures(mine, to_numpy(model.encoder(bags.gather_rows(mine).to(device))))

        return room.fit(features, f"run {run} of the pool's instances ({len(mine)} of them)", smaller="")

    runs = share_blocks(block_count(len(rows), _RUN), share[1])[share[0]]
    return InstanceFeatures.merge(list(threads.map(encode, runs)))


def shared_rows(source: BagSource, index: Index) -> tuple[Index, Index]:
    """The table rows of the bags at `index`, bag by bag, and the bags' sizes."""
    bags = source.dataset
    assert isinstance(bags, BagSet)  # shares_instances says so
    return bags.rows_of(index), bags.sizes[index]
