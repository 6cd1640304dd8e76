"""A shard: some whole blocks of the pool, embedded and scored with the weights of the call."""

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np

from negsift.common.arrays import Index
from negsift.common.block_subset import BlockSubset
from negsift.common.models.embedder import Embedder
from negsift.common.types import Candidates, Embedded, EmbeddingSpec, InstanceFeatures, Round, Snapshot
from negsift.service.kmeanspp.torch_backend import TorchBackend
from negsift.service.points.bag_points import BagPoints, PointsSpec
from negsift.service.pool.blocks import Part
from negsift.service.pool.shard_data import ShardData
from negsift.service.scoring.block_embedder import BlockEmbedder
from negsift.service.scoring.block_map import map_blocks
from negsift.service.scoring.byte_limited_cache import ByteBudget
from negsift.service.scoring.model_runner import ModelRunner
from negsift.service.scoring.scoring_config import ScoringConfig
from negsift.service.scoring.top_k_sample import TopKRequest, TopKSample
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.contract import candidates
from negsift.service.top_k import merge

T = TypeVar("T")


class Shard:
    """Answers the coordinator's requests; keeps embeddings of the current weights within `cache_bytes`."""

    def __init__(
        self, data: ShardData, model: Embedder, threads: Executor, cache_bytes: int, scoring: ScoringConfig
    ) -> None:
        """`threads` come from `block_workers`; `model` is this shard's own copy."""
        budget = ByteBudget(cache_bytes)
        runner = ModelRunner(model, scoring, budget)
        self._embedder, self._threads = BlockEmbedder(data, runner, budget), threads
        on_gpu = runner.device.type == "cuda"
        self.point_backend = functools.partial(TorchBackend, device=runner.device) if on_gpu else None
        self._points: tuple[tuple[str, PointsSpec], BagPoints] | None = None
        self._best: tuple[str, Candidates] | None = None

    def for_data(self, snapshot: Snapshot, data: ShardData) -> "Shard":
        """A shard of other blocks on this one's model and threads, for as long as this one has these weights."""
        self.load(snapshot)
        other = copy.copy(self)
        other._embedder = self._embedder.for_data(data.at(snapshot.pool_version))
        other._points, other._best = None, None
        return other

    @property
    def blocks(self) -> int:
        """The number of its blocks of the pool."""
        return len(self._embedder.data.pool_blocks)

    @property
    def embedded(self) -> int:
        """Bags that went through the model so far."""
        return self._embedder.embedded

    @property
    def budget(self) -> ByteBudget:
        """The memory of the embeddings and features it keeps, and its limit."""
        return self._embedder.budget

    def release(self, keep: bool) -> None:
        """Free memory while another shard is asked: points and scores, and kept embeddings unless `keep`."""
        self._points, self._best = None, None
        if not keep:
            self._embedder.forget()

    def load(self, snapshot: Snapshot) -> None:
        """Take these weights; points and scores of other weights are forgotten."""
        if self._embedder.load(snapshot):
            self._points, self._best = None, None

    def top_k(
        self, snapshot: Snapshot, strategy: Strategy, prepared: Prepared, round: Round, request: TopKRequest
    ) -> TopKSample:
        """What `request` asks of this shard's best bags for `strategy`."""
        self.load(snapshot)
        if self._best is None or self._best[0] != request.token:
            self._best = request.token, self._score(snapshot, strategy, prepared, round)
        return request.of(self._best[1])

    def _score(self, snapshot: Snapshot, strategy: Strategy, prepared: Prepared, round: Round) -> Candidates:
        spec = strategy.embedding_spec(round)

        def score(block: int) -> Candidates:
            return candidates(strategy, self._embedder.block(snapshot, "pool", block, spec), prepared, round)

        return merge(self._map(score, self._embedder.data.blocks("pool", round.subset)), round.most)

    def embed(
        self, snapshot: Snapshot, part: Part, spec: EmbeddingSpec, subset: BlockSubset | None, index: Index | None
    ) -> Embedded | None:
        """The embeddings of this shard's bags of a part: all, those of `subset`, or those at `index`; None if none."""
        self.load(snapshot)
        blocks = self._embedder.data.blocks(part, subset)
        if index is not None:
            blocks = np.intersect1d(blocks, index // self._embedder.data.block).tolist()
        parts = list(self._map(lambda block: self._embedder.block(snapshot, part, block, spec), blocks))
        if not parts:
            return None
        merged = Embedded.merge(parts)
        return merged if index is None else merged.take(np.flatnonzero(np.isin(merged.index, index)))

    def embedding_bytes(self, snapshot: Snapshot, spec: EmbeddingSpec, subset: BlockSubset | None) -> int:
        """The memory of one bag's embedding, measured on this shard's first block; 0 if it has none."""
        self.load(snapshot)
        blocks = self._embedder.data.blocks("pool", subset)
        first = self._embedder.block(snapshot, "pool", blocks[0], spec) if len(blocks) else None
        return first.size_bytes // len(first.index) if first else 0

    def encode_instances(self, snapshot: Snapshot, subset: BlockSubset | None, also: Index | None) -> InstanceFeatures:
        """The features of this shard's share of the instances in the bags of `subset` and in the blocks of `also`."""
        self.load(snapshot)
        return self._embedder.instances(self._embedder.data.pool_index(subset, also), self._threads)

    def points(self, snapshot: Snapshot, spec: PointsSpec) -> BagPoints:
        """This shard's bags as points, kept until others are asked for."""
        self.load(snapshot)
        key = snapshot.digest, spec
        if self._points is None or self._points[0] != key:
            self._points = None  # frees its memory before the next points take theirs

            def embed(block: int) -> Embedded:
                return self._embedder.block(snapshot, "pool", block, spec.embedding, keep=False)

            data, limit_bytes = self._embedder.data, self._embedder.budget.limit_bytes
            blocks = data.blocks("pool", spec.subset)
            self._points = key, BagPoints(self._map(embed, blocks), data.bags(blocks), spec, limit_bytes)
        return self._points[1]

    def _map(self, work: Callable[[int], T], blocks: Sequence[int]) -> Iterator[T]:
        return map_blocks(self._threads, work, blocks, self._embedder.data.share)
