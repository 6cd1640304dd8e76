"""A shard: some whole blocks of the pool, embedded and scored with the weights of the call."""

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from negsift.common.arrays import Index
from negsift.common.block_subset import BlockSubset
from negsift.common.models.adapt import Embedder
from negsift.common.types import Candidates, Embedded, EmbeddingSpec, InstanceFeatures, Round, Snapshot
from negsift.service.kmeanspp.queries import PointQuery
from negsift.service.kmeanspp.torch_backend import TorchBackend
from negsift.service.points.bag_points import BagPoints, Grid, PointsMeasure, PointsSpec
from negsift.service.pool.shard_data import Part, ShardData
from negsift.service.scoring.block_embedder import BlockEmbedder
from negsift.service.scoring.byte_limited_cache import ByteLimitedCache
from negsift.service.scoring.instances import encode_rows, shared_rows
from negsift.service.scoring.model_runner import ModelRunner
from negsift.service.scoring.rolling_map import rolling_map
from negsift.service.scoring.scoring_config import ScoringConfig
from negsift.service.selection.distributed_top_k import TopKRequest, TopKSample
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.top_k import merge

T = TypeVar("T")


class Shard:
    """Answers what the coordinator asks of all shards; keeps embeddings of the current weights within `cache_bytes`."""

    def __init__(
        self,
        holding: ShardData,
        model: Embedder,
        threads: Executor,
        cache_bytes: int,
        scoring: ScoringConfig | None = None,
    ) -> None:
        """`threads` come from `block_workers`; `model` is this shard's own copy."""
        kept = ByteLimitedCache(cache_bytes)
        forward = ModelRunner(model, scoring or ScoringConfig(), kept)
        self._embedding, self._threads = BlockEmbedder(holding, forward, kept), threads
        on_gpu = forward.device.type == "cuda"
        self._body = functools.partial(TorchBackend, device=forward.device) if on_gpu else None
        self._points: tuple[tuple[str, PointsSpec], BagPoints] | None = None
        self._found: tuple[str, Candidates] | None = None

    def standing_in(self, snapshot: Snapshot, holding: ShardData) -> "Shard":
        """A shard of other blocks with this one's model and threads, good for as long as this one has these weights.

        Any block gives the same numbers here as where it is held.
        """
        self.load(snapshot)
        other = copy.copy(self)
        other._embedding = self._embedding.standing_in(holding.at(snapshot.pool_version))
        other._points, other._found = None, None
        return other

    @property
    def blocks(self) -> int:
        """How many blocks of the pool it holds."""
        return len(self._embedding.holding.pool_blocks)

    @property
    def kept_bytes(self) -> int:
        """What its kept embeddings take."""
        return self._embedding.kept.size_bytes

    def allow(self, cache_bytes: int) -> None:
        """Keep embeddings within so many bytes from now on."""
        self._embedding.kept.limit_bytes = cache_bytes

    def rest(self, keep: bool) -> None:
        """Let go of points, and of the kept embeddings unless `keep`, while another shard is asked."""
        self._points, self._found = None, None
        if not keep:
            self._embedding.kept.clear()

    def candidates(
        self, snapshot: Snapshot, strategy: Strategy, prepared: Prepared, round: Round, portion: TopKRequest
    ) -> TopKSample:
        """A portion of this shard's best k bags for `strategy`."""
        self.load(snapshot)
        if self._found is None or self._found[0] != portion.token:
            self._found = portion.token, self._best(snapshot, strategy, prepared, round)
        return portion.of(self._found[1])

    def _best(self, snapshot: Snapshot, strategy: Strategy, prepared: Prepared, round: Round) -> Candidates:
        ask = strategy.ask(round)

        def score(block: int) -> Candidates:
            return strategy.candidates(self._embedding.block(snapshot, "pool", block, ask), prepared, round)

        blocks = self._embedding.holding.blocks("pool", round.lot)
        return merge(rolling_map(self._threads, score, blocks), round.k)

    def embed(
        self, snapshot: Snapshot, part: Part, ask: EmbeddingSpec, wanted: Index | BlockSubset | None = None
    ) -> Embedded | None:
        """The embeddings of this shard's bags of a part, of those of a lot, or of the `wanted`; None if it has none."""
        self.load(snapshot)
        holding = self._embedding.holding
        blocks = holding.blocks(part, wanted if isinstance(wanted, BlockSubset) else None)
        if isinstance(wanted, np.ndarray):
            blocks = np.intersect1d(blocks, wanted // holding.block).tolist()
        parts = list(self._in_parallel(lambda block: self._embedding.block(snapshot, part, block, ask), blocks))
        if not parts:
            return None
        merged = Embedded.merge(parts)
        return merged.take(np.flatnonzero(np.isin(merged.index, wanted))) if isinstance(wanted, np.ndarray) else merged

    def bag_bytes(self, snapshot: Snapshot, ask: EmbeddingSpec, lot: BlockSubset | None = None) -> int:
        """What one bag's embedding takes, in bytes, by this shard's first block; 0 if it has none."""
        self.load(snapshot)
        blocks = self._embedding.holding.blocks("pool", lot)
        first = self._embedding.block(snapshot, "pool", blocks[0], ask) if len(blocks) else None
        return first.size_bytes // len(first.index) if first else 0

    def measure(self, snapshot: Snapshot, wanted: PointsSpec) -> PointsMeasure:
        """This shard's bags as points, which are kept for `rows`."""
        return self._points_of(snapshot, wanted).measured

    def rows(self, snapshot: Snapshot, wanted: PointsSpec, grid: Grid, query: PointQuery[T]) -> T:
        """The answer to `query` from this shard's points on the grid."""
        return query.answer(self._points_of(snapshot, wanted).rows(grid, self._body))

    def encode(self, snapshot: Snapshot, lot: BlockSubset | None, also: Index | None) -> InstanceFeatures:
        """Features of this shard's share of the instances in a lot's bags and in the blocks of those at `also`."""
        self.load(snapshot)
        holding = self._embedding.holding
        return encode_rows(self._embedding, shared_rows(holding.pool, holding.index(lot, also))[0], self._threads)

    def _points_of(self, snapshot: Snapshot, wanted: PointsSpec) -> BagPoints:
        self.load(snapshot)
        key = snapshot.digest, wanted
        if self._points is None or self._points[0] != key:
            self._points = None  # its memory goes first

            def embed(block: int) -> Embedded:
                return self._embedding.block(snapshot, "pool", block, wanted.ask, keep=False)

            holding = self._embedding.holding
            blocks = holding.blocks("pool", wanted.lot)
            parts = self._in_parallel(embed, blocks)
            self._points = key, BagPoints(parts, holding.bags(blocks), wanted, self._embedding.kept.limit_bytes)
        return self._points[1]

    def _in_parallel(self, work: Callable[[int], T], blocks: Sequence[int]) -> Iterator[T]:
        """`work` of every block, in their order; in a terminal with a bar, if it takes longer than a moment."""
        number, shards = self._embedding.holding.share
        told = f"scoring, shard {number + 1} of {shards}"
        bar = tqdm(total=len(blocks), desc=told, disable=None, leave=False, unit="block", delay=1)
        with bar:
            for part in self._threads.map(work, blocks):
                bar.update()
                yield part

    def load(self, snapshot: Snapshot) -> None:
        """Take these weights, and let go of what others said."""
        if self._embedding.load(snapshot):
            self._points, self._found = None, None
