"""A shard: some whole blocks of the pool, embedded and scored with the weights of the call."""

import copy
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from itertools import chain
from typing import TypeVar

import numpy as np

from negsift.common.arrays import Index
from negsift.common.block_subset import BlockSubset
from negsift.common.instance_features import InstanceFeatures
from negsift.common.models.embedder import Embedder
from negsift.common.out_of_memory import lacks_memory
from negsift.common.types import Candidates, Embedded, EmbeddingSpec, Round, Snapshot
from negsift.service.kmeanspp.queries import PointQuery
from negsift.service.points.bag_points import BagPoints, PointsSpec
from negsift.service.points.grid import Grid
from negsift.service.pool.blocks import Part
from negsift.service.pool.shard_data import ShardData
from negsift.service.scoring.block_embedder import BlockEmbedder, single_blocks
from negsift.service.scoring.byte_limited_cache import ByteBudget
from negsift.service.scoring.device_lanes import lanes_to
from negsift.service.scoring.device_pipeline import DevicePipeline
from negsift.service.scoring.device_points import DevicePoints
from negsift.service.scoring.model_runner import ModelRunner
from negsift.service.scoring.scoring_config import ScoringConfig
from negsift.service.scoring.top_k_sample import TopKRequest, TopKSample
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.contract import candidates
from negsift.service.top_k import merge

log = logging.getLogger(__name__)

T = TypeVar("T")


class Shard:
    """Answers the coordinator's requests; keeps embeddings of the current weights within `cache_bytes`."""

    def __init__(
        self, data: ShardData, model: Embedder, threads: Executor, cache_bytes: int, scoring: ScoringConfig,
        on_device: ByteBudget | None = None,
    ) -> None:  # fmt: skip
        """`threads` come from `block_workers`; `model` is on the shard's device, and `on_device` is what shards there
        may keep on it, unless that is main memory.
        """
        budget = ByteBudget(cache_bytes)
        runner = ModelRunner(model, scoring, budget, on_device)
        lanes = lanes_to(runner.device, scoring.precision)
        pipeline = DevicePipeline(lanes, threads, scoring) if lanes else None
        self._embedder = BlockEmbedder(data, runner, budget, threads, pipeline)
        self._make_backend = DevicePoints(runner.device, on_device) if on_device else None
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

        data = self._embedder.data

        def score(parts: Sequence[Embedded]) -> Candidates:
            blocks = parts if strategy.elementwise else single_blocks(parts, data.block)
            return candidates(strategy, blocks, prepared, round)

        return merge(self._embedder.runs(snapshot, data.blocks("pool", round.subset), spec, score), round.most)

    def embed(
        self, snapshot: Snapshot, part: Part, spec: EmbeddingSpec, subset: BlockSubset | None, index: Index | None
    ) -> Embedded | None:
        """The embeddings of this shard's bags of a part: all, those of `subset`, or those at `index`; None if none."""
        self.load(snapshot)
        blocks = self._embedder.data.blocks(part, subset)
        if index is not None:
            blocks = np.intersect1d(blocks, index // self._embedder.data.block).tolist()
        if part == "pool":
            parts = list(chain.from_iterable(self._embedder.runs(snapshot, blocks, spec, lambda run: run)))
        else:
            parts = list(self._embedder.blocks(snapshot, part, blocks, spec, lambda embedded: embedded))
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
        return self._embedder.instances(self._embedder.data.pool_index(subset, also))

    def points(self, snapshot: Snapshot, spec: PointsSpec) -> BagPoints:
        """This shard's bags as points, kept until others are asked for."""
        self.load(snapshot)
        key = snapshot.digest, spec
        if self._points is None or self._points[0] != key:
            self._points = None  # frees its memory before the next points take theirs
            data, limit_bytes = self._embedder.data, self._embedder.budget.limit_bytes
            blocks = data.blocks("pool", spec.subset)
            runs = self._embedder.runs(snapshot, blocks, spec.embedding, lambda run: run, keep=False)
            self._points = key, BagPoints(chain.from_iterable(runs), data.bags(blocks), spec, limit_bytes)
        return self._points[1]

    def query(self, snapshot: Snapshot, spec: PointsSpec, grid: Grid, query: PointQuery[T]) -> T:
        """The answer of this shard's points on a grid; in main memory where that of its device runs out on the way."""
        points = self.points(snapshot, spec)
        try:
            return query.answer(points.rows(grid, self._make_backend))
        except (MemoryError, RuntimeError) as error:
            if self._make_backend is None or not lacks_memory(error):
                raise
            log.warning("no memory for points on the device (%s); they are kept in main memory", error)
        points.leave_device()
        return query.answer(points.rows(grid))
