"""What a scorer holds for several tasks: one pass for several strategies, one decoding for several targets."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from common.data.table.bags import open_pool
from common.data.table.feed import Budget, Feed
from common.models.bag import BagClassifier
from common.models.embed import Ask
from common.types import Embedded, Index, Round
from common.weights import take_snapshot
from service.best import Portion
from service.fleet import Stock
from service.holdings import Shards
from service.source import BagSource
from service.strategies import STRATEGIES
from tests.unit.tables import as_table, random_bags, third_positive, write
from tests.unit.toys import BLOCK, vector_model, vectors


class Counting(BagClassifier):
    """A model that counts its passes."""

    passes = 0

    def embed(self, bags: object, index: Index, ask: Ask) -> Embedded:
        Counting.passes += 1
        return super().embed(bags, index, ask)  # type: ignore[arg-type]  # what the source gives


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def stock_of(cache_bytes: int = 1 << 20) -> Stock:
    plain = vector_model()
    model = Counting(plain.encoder, plain.head, plain.pooling)
    bags = BagSource(vectors([3] * 40))
    return Stock(bags, BagSource(()), model, 1, BLOCK, cache_bytes, Budget(0), tasks_held=2)


def shards(threads: ThreadPoolExecutor) -> Shards:
    return Shards(0, torch.device("cpu"), threads)


def test_one_pass_serves_several_strategies_of_the_same_weights(threads: ThreadPoolExecutor) -> None:
    shard, weights = shards(threads).of("a", stock_of), take_snapshot(vector_model(seed=1).state_dict(), 0)
    Counting.passes = 0
    found = {
        name: shard.candidates(weights, STRATEGIES[name](), {}, Round("", 0, 0, 9), Portion(name, 9))
        for name in ("gradient_embedding", "entropy", "margin", "least_confidence")
    }
    assert Counting.passes == 5  # a block each
    shard.rest(keep=False)
    for name, kept in found.items():
        fresh = shard.candidates(weights, STRATEGIES[name](), {}, Round("", 0, 0, 9), Portion(name, 9))
        np.testing.assert_array_equal(fresh.rows.index, kept.rows.index)
        np.testing.assert_array_equal(fresh.rows.score, kept.rows.score)
        shard.rest(keep=False)


def test_shards_of_several_tasks_keep_no_more_embeddings_than_one(threads: ThreadPoolExecutor) -> None:
    held, weights = shards(threads), take_snapshot(vector_model().state_dict(), 0)
    for name in "abcabcaab":
        shard, wanted = held.of(name, lambda: stock_of(2000)), (STRATEGIES["entropy"](), {}, Round("", 0, 0, 9))
        shard.candidates(weights, *wanted, Portion(name, 9))
        status = held.status()
        assert status["shards"] <= 2  # type: ignore[operator]  # a number
        assert status["kept_bytes"] <= 2000  # type: ignore[operator]  # a number


def test_targets_share_what_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, as_table(random_bags(80), third_positive(80)))
    decoded: list[tuple[int, int]] = []
    monkeypatch.setattr(
        Feed, "_decode", lambda self, place, of=Feed._decode: (decoded.append(place), of(self, place))[1]
    )
    feeds = [
        Feed(bags, range(len(bags)), Budget(1 << 28))
        for bags in (open_pool(tmp_path, name) for name in ("bird", "cat"))
    ]
    groups = len(feeds[0].bags.manifest.groups)
    for feed in feeds:
        feed.gather(np.arange(len(feed)))
    assert len(decoded) == len(set(decoded)) == groups
