"""Small pools and models that the unit tests share, and one round in one line."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagSet
from negsift.common.data.instances import Instances
from negsift.common.data.protocols import BagDataset
from negsift.common.models.bag import BagClassifier
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.common.models.pooling import make_pooling
from negsift.common.types import Embedded, EmbeddingSpec, Picked, PoolVersion, Round, Selection
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.kmeanspp.queries import Answer, PointQuery
from negsift.service.points.bag_points import BagPoints, PointsSpec
from negsift.service.points.shared_points import GatherLimits, SharedPoints
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.contract import candidates
from negsift.service.top_k import merge

BLOCK = 8
SHAPE = (3, 16, 16)


def images(count: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Instances:
    """Random uint8 images of two classes."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    return Instances(random.integers(0, 2, count), ("no", "yes"), in_memory=pixels)


def stack_bags(instances: Instances, bags: list[Index], label: Index, name: str) -> BagSet:
    """A BagSet from one array of instance rows for each bag."""
    offsets = np.concatenate([[0], np.cumsum([len(bag) for bag in bags])]).astype(np.int64)
    rows = np.concatenate(bags).astype(np.int64)
    return BagSet(instances, rows, offsets, label, name, np.arange(len(bags), dtype=np.int64))


def bag_set(sizes: Sequence[int], seed: int = 0, label: int = 0) -> BagSet:
    """Bags of these sizes over random images, each in one bag."""
    rows = np.random.default_rng(seed).permutation(sum(sizes))
    bags = np.split(rows, np.cumsum(sizes)[:-1])
    return stack_bags(images(sum(sizes), seed), bags, np.full(len(sizes), label), f"toy-{seed}")


def shared_bag_set(bags: int, instances: int, seed: int = 0) -> BagSet:
    """Ragged bags that draw their images from a few, so that bags share them."""
    random = np.random.default_rng(seed)
    rows = [random.integers(0, instances, random.integers(1, 6)) for _ in range(bags)]
    return stack_bags(images(instances, seed), rows, np.zeros(bags, dtype=np.int64), "shared")


def cnn(pooling: str = "mean_softmax", seed: int = 0) -> BagClassifier:
    """SimpleCNN for the toy images."""
    return make_model(ModelConfig(pooling=pooling), SHAPE, seed)


def vectors(sizes: Sequence[int], seed: int = 0, width: int = 6) -> list[Tensor]:
    """Bags of random float32 vectors."""
    random = np.random.default_rng(seed)
    return [torch.from_numpy(random.normal(size=(size, width)).astype(np.float32)) for size in sizes]


def vector_model(pooling: str = "mean_softmax", classes: int = 2, width: int = 6, seed: int = 0) -> BagClassifier:
    """A classifier of bags of vectors, with 4 features."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        encoder = nn.Sequential(nn.Linear(width, 4), nn.Tanh())
        return BagClassifier(encoder, nn.Linear(4, classes), make_pooling(pooling, 4))


class MeanNet(nn.Module):
    """A user's own network: equal bags of vectors to the mean of instance logits."""

    def __init__(self, classes: int = 2, width: int = 6) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            self.body, self.fc = nn.Linear(width, 4), nn.Linear(4, classes)

    def forward(self, bags: Tensor) -> Tensor:
        return self.fc(self.body(bags).tanh()).mean(1)


def embedded(logits: Any, features: Any = None, index: Index | None = None) -> Embedded:  # Any: whatever numpy takes
    """An Embedded of float32 arrays, at positions 0, 1, … by default."""
    wide = np.asarray(logits, dtype=np.float32)
    deep = np.zeros((len(wide), 0), dtype=np.float32) if features is None else np.asarray(features, dtype=np.float32)
    return Embedded(np.arange(len(wide), dtype=np.int64) if index is None else index, wide, deep)


class HeldView:
    """What a strategy sees where one shard has a few bags whose embeddings are given."""

    restarts = 0

    def __init__(self, pool: Embedded) -> None:
        self._pool = pool

    def top_k(self, strategy: Strategy, prepared: Prepared, round: Round) -> Picked:
        return Picked(merge([candidates(strategy, [self._pool], prepared, round)], round.most))

    def embed_pool(self, spec: EmbeddingSpec, index: Index | None = None) -> Embedded:
        return self._pool if index is None else self._pool.take(np.flatnonzero(np.isin(self._pool.index, index)))

    def points(self, spec: PointsSpec) -> SharedPoints:
        self._points = BagPoints([self._pool], len(self._pool.index), spec, 1 << 30)
        parts = [self._points.measured]
        self._grid = spec.grid(parts)
        return SharedPoints(self, parts, self._grid, GatherLimits())

    def ask(self, query: PointQuery[Answer]) -> list[Answer]:
        return [query.answer(self._points.rows(self._grid))]


def a_round(k: int, epoch: int = 0, seed: int = 0, pool: int = 1 << 20) -> Round:
    """A round of no pool in particular."""
    return Round(epoch, seed, k, PoolVersion(0, pool), turn=epoch)


def select(
    pool: BagDataset,
    model: nn.Module,
    strategy: str | Strategy,
    k: int | None,
    *,
    shards: int = 2,
    epoch: int = 0,
    **options: Any,  # Any: NegativeSampler's own
) -> Selection:
    """One round of a local sampler with small blocks."""
    chosen = {"options": FleetConfig(block=BLOCK)} | options
    with NegativeSampler(pool, model, strategy=strategy, k=k, shards=shards, **chosen) as sampler:
        return sampler.select(model.state_dict(), epoch)


def assert_same(one: Selection, other: Selection) -> None:
    """The same picks with the same scores, bit for bit."""
    np.testing.assert_array_equal(one.index, other.index)
    np.testing.assert_array_equal(one.score, other.score)
    np.testing.assert_array_equal(one.weight, other.weight)
