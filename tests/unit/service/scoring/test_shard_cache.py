"""A scorer's shards of several tasks: one pass for several strategies, one decoding for several targets."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from negsift.common.arrays import Index
from negsift.common.data.bagset import Batch
from negsift.common.data.table.bags import open_pool
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.reader import RowGroupReader
from negsift.common.data.table.row_group_stream import RowGroupStream
from negsift.common.errors import BadInput
from negsift.common.models.bag import BagClassifier
from negsift.common.types import Embedded, EmbeddingSpec, Snapshot
from negsift.common.weights import take_snapshot
from negsift.service.pool.bag_source import BagSource
from negsift.service.pool.blocks import WorkItem
from negsift.service.scoring.shard import Shard
from negsift.service.scoring.shard_cache import ShardCache
from negsift.service.scoring.shard_spec import ShardSpec
from negsift.service.scoring.top_k_sample import TopKRequest
from negsift.service.strategies import STRATEGIES
from tests.unit.tables import as_table, random_bags, third_positive, write
from tests.unit.toys import BLOCK, a_round, vector_model, vectors


class Counting(BagClassifier):
    """A model that counts its passes."""

    passes = 0

    def embed(self, bags: Batch, index: Index, spec: EmbeddingSpec) -> Embedded:
        Counting.passes += 1
        return super().embed(bags, index, spec)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def shard_spec(cache_bytes: int = 1 << 20) -> ShardSpec:
    plain = vector_model()
    model = Counting(plain.encoder, plain.head, plain.pooling)
    bags = BagSource(vectors([3] * 40))
    return ShardSpec(bags, BagSource(()), model, 1, BLOCK, cache_bytes, DecodingBudget(0), tasks_held=2)


def shards(threads: ThreadPoolExecutor) -> ShardCache:
    return ShardCache(0, torch.device("cpu"), threads)


def prepared(cache: ShardCache, name: str, weights: Snapshot, cache_bytes: int = 1 << 20) -> Shard:
    cache.prepare(name, lambda: shard_spec(cache_bytes))
    return cache.shard_for(name, weights, WorkItem(0))


def test_one_pass_serves_several_strategies_of_the_same_weights(threads: ThreadPoolExecutor) -> None:
    weights = take_snapshot(vector_model(seed=1).state_dict(), 0)
    shard = prepared(shards(threads), "a", weights)
    Counting.passes = 0
    found = {
        name: shard.top_k(weights, STRATEGIES[name](), {}, a_round(9), TopKRequest(name, 9))
        for name in ("gradient_embedding", "entropy", "margin", "least_confidence")
    }
    assert Counting.passes == 5  # a block each
    shard.release(keep=False)
    for name, kept in found.items():
        fresh = shard.top_k(weights, STRATEGIES[name](), {}, a_round(9), TopKRequest(name, 9))
        np.testing.assert_array_equal(fresh.rows.index, kept.rows.index)
        np.testing.assert_array_equal(fresh.rows.score, kept.rows.score)
        shard.release(keep=False)


def test_shards_of_several_tasks_share_one_cache_budget(threads: ThreadPoolExecutor) -> None:
    held, weights = shards(threads), take_snapshot(vector_model().state_dict(), 0)
    for name in "abcabcaab":
        shard, wanted = prepared(held, name, weights, 2000), (STRATEGIES["entropy"](), {}, a_round(9))
        shard.top_k(weights, *wanted, TopKRequest(name, 9))
        memory = held.memory()
        assert memory.shards <= 2
        assert memory.kept_bytes <= 2000


def test_targets_share_decoded_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, as_table(random_bags(80), third_positive(80)))
    decoded, read = list[tuple[int, int]](), RowGroupReader.read

    def noting(reader: RowGroupReader, place: tuple[int, int], column: str, rows: int) -> Iterator[pa.Array]:
        decoded.append(place)
        return read(reader, place, column, rows)

    monkeypatch.setattr(RowGroupReader, "read", noting)
    feeds = [
        RowGroupStream(bags.row_index, range(len(bags)), DecodingBudget(1 << 28))
        for bags in (open_pool(tmp_path, name) for name in ("bird", "cat"))
    ]
    groups = len(feeds[0].row_index.manifest.groups)
    for feed in feeds:
        feed.gather(np.arange(len(feed)))
    assert len(decoded) == len(set(decoded)) == groups


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch has CUDA here")
def test_a_gpu_that_torch_cannot_use_is_named() -> None:
    ShardCache.of_process(0, 1.0, 0.0).require_device()
    with pytest.raises(BadInput, match=r"found a GPU of Ray's on \S+, where torch \S+ has no CUDA"):
        ShardCache.of_process(0, 1.0, 1.0).require_device()
