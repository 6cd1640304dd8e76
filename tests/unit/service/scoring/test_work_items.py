"""A shard that works on parts of another shard gives that shard's numbers, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from negsift.common.data.protocols import BagDataset
from negsift.common.data.table.bags import TableBags
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.models.embedder import Embedder
from negsift.common.threads import block_workers
from negsift.common.types import Embedded, EmbeddingSpec, Need
from negsift.common.weights import take_snapshot
from negsift.service.arguments import resolve_pool
from negsift.service.pool.bag_source import BagSource
from negsift.service.pool.blocks import WorkItem
from negsift.service.scoring.scoring_config import ScoringConfig
from negsift.service.scoring.shard import Shard
from negsift.service.scoring.shard_spec import ShardSpec
from negsift.service.scoring.top_k_sample import TopKRequest
from negsift.service.strategies.entropy import Entropy
from negsift.service.top_k import merge
from tests.unit.tables import as_table, random_bags, third_positive, write
from tests.unit.toys import a_round, vector_model, vectors

SHARDS, THREADS = 3, block_workers(2)


def stock_of(pool: BagDataset, model: Embedder) -> ShardSpec:
    return ShardSpec(
        BagSource(pool), BagSource(vectors([2] * 9)), model, SHARDS, 4, 1 << 20, DecodingBudget(256 << 20, 0)
    )


def shards(spec: ShardSpec) -> list[Shard]:
    return [Shard(spec.data(number), vector_model(), THREADS, 1 << 20, ScoringConfig()) for number in range(SHARDS)]


@pytest.fixture(params=["in memory", "table"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> ShardSpec:
    if request.param == "in memory":
        return stock_of(vectors(range(1, 98)), vector_model())
    write(tmp_path, as_table(random_bags(150), third_positive(150)))
    pool = resolve_pool(tmp_path, "bird")
    assert isinstance(pool, TableBags)
    return stock_of(pool, vector_model())


@pytest.mark.parametrize("of", [1, 2, 5, 40])
def test_candidates_of_work_items_are_those_of_the_shard(spec: ShardSpec, of: int) -> None:
    snapshot, round = take_snapshot(vector_model(seed=1).state_dict(), 0), a_round(k=7)
    other, own = shards(spec)[0], shards(spec)[2]
    parts = [other.for_data(snapshot, spec.item_data(WorkItem(2, at, of))) for at in range(of)]
    portion = TopKRequest("", first=7)
    found = merge([part.top_k(snapshot, Entropy(), {}, round, portion).rows for part in parts], 7)
    expected = own.top_k(snapshot, Entropy(), {}, round, portion).rows
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.score, expected.score)
    assert found.seen == expected.seen


def test_embeddings_of_work_items_are_those_of_the_shard(spec: ShardSpec) -> None:
    snapshot, ask = take_snapshot(vector_model(seed=1).state_dict(), 0), EmbeddingSpec(Need.FEATURES, "pseudo", 1)
    other, own = shards(spec)[0], shards(spec)[2]
    before = other.embed(snapshot, "pool", ask, None, None)
    parts = [
        other.for_data(snapshot, spec.item_data(WorkItem(2, at, 3))).embed(snapshot, "pool", ask, None, None)
        for at in range(3)
    ]
    found, expected = Embedded.merge([part for part in parts if part]), own.embed(snapshot, "pool", ask, None, None)
    after = other.embed(snapshot, "pool", ask, None, None)
    assert expected is not None
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.features, expected.features)
    np.testing.assert_array_equal(before.features, after.features)
