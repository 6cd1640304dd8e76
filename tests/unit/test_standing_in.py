"""A shard that works on pieces of another one's share gives that one's numbers, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from common.data.table.bags import TableBags
from common.data.table.feed import Budget
from common.models.adapt import Embedder
from common.models.embed import Ask
from common.protocols import Sized
from common.threads import block_workers
from common.types import Embedded, Need
from common.weights import take_snapshot
from service.best import Portion
from service.editions import pool_of
from service.fleet import Stock
from service.merge import merge
from service.shard import Shard
from service.source import BagSource
from service.strategies.entropy import Entropy
from tests.unit.tables import as_table, random_bags, third_positive, write
from tests.unit.toys import a_round, vector_model, vectors

SHARDS, THREADS = 3, block_workers(2)


def stock_of(pool: Sized, model: Embedder) -> Stock:
    return Stock(BagSource(pool), BagSource(vectors([2] * 9)), model, SHARDS, 4, 1 << 20, Budget(256 << 20, 0))


def shards(stock: Stock) -> list[Shard]:
    return [Shard(stock.holding(number), vector_model(), THREADS, 1 << 20) for number in range(SHARDS)]


@pytest.fixture(params=["in memory", "table"])
def stock(request: pytest.FixtureRequest, tmp_path: Path) -> Stock:
    if request.param == "in memory":
        return stock_of(vectors(range(1, 98)), vector_model())
    write(tmp_path, as_table(random_bags(150), third_positive(150)))
    pool = pool_of(tmp_path, "bird")
    assert isinstance(pool, TableBags)
    return stock_of(pool, vector_model())


@pytest.mark.parametrize("of", [1, 2, 5, 40])
def test_candidates_of_pieces_are_those_of_the_share(stock: Stock, of: int) -> None:
    snapshot, round = take_snapshot(vector_model(seed=1).state_dict(), 0), a_round(k=7)
    other, own = shards(stock)[0], shards(stock)[2]
    pieces = [other.standing_in(snapshot, stock.piece(2, at, of)) for at in range(of)]
    portion = Portion("", first=7)
    found = merge([piece.candidates(snapshot, Entropy(), {}, round, portion).rows for piece in pieces], 7)
    expected = own.candidates(snapshot, Entropy(), {}, round, portion).rows
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.score, expected.score)
    assert found.seen == expected.seen


def test_embeddings_of_pieces_are_those_of_the_share_and_leave_the_shards_own_alone(stock: Stock) -> None:
    snapshot, ask = take_snapshot(vector_model(seed=1).state_dict(), 0), Ask(Need.FEATURES, "pseudo", 1)
    other, own = shards(stock)[0], shards(stock)[2]
    before = other.embed(snapshot, "pool", ask)
    parts = [other.standing_in(snapshot, stock.piece(2, at, 3)).embed(snapshot, "pool", ask) for at in range(3)]
    found, expected = Embedded.merge([part for part in parts if part]), own.embed(snapshot, "pool", ask)
    after = other.embed(snapshot, "pool", ask)
    assert expected is not None
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.features, expected.features)
    np.testing.assert_array_equal(before.features, after.features)
