"""A shard: some whole blocks of the pool, embedded and scored with the weights of the call."""

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from common.lots import Lot
from common.models.adapt import Embedder
from common.models.embed import Ask
from common.types import Candidates, Embedded, Index, InstanceFeatures, Round, Snapshot
from service.bag_points import BagPoints, Grid, Measured, PointsAsk
from service.best import Portion, Sample
from service.embedding import Embedding
from service.forward import Forward
from service.holding import Holding, Part
from service.instances import encode_rows, shared_rows
from service.kept import Kept
from service.kmeanspp.torch_loops import TorchLoops
from service.merge import merge
from service.rolling import rolling_map
from service.scoring import ScoringConfig
from service.strategies.base import Prepared, Strategy

T = TypeVar("T")


class Shard:
    """Answers what the coordinator asks of all shards; keeps embeddings of the current weights within `cache_bytes`."""

    def __init__(
        self,
        holding: Holding,
        model: Embedder,
        threads: Executor,
        cache_bytes: int,
        scoring: ScoringConfig | None = None,
    ) -> None:
        """`threads` come from `block_workers`; `model` is this shard's own copy."""
        kept = Kept(cache_bytes)
        forward = Forward(model, scoring or ScoringConfig(), kept)
        self._embedding, self._threads = Embedding(holding, forward, kept), threads
        on_gpu = forward.device.type == "cuda"
        self._body = functools.partial(TorchLoops, device=forward.device) if on_gpu else None
        self._points: tuple[tuple[str, PointsAsk], BagPoints] | None = None
        self._found: tuple[str, Candidates] | None = None

    def standing_in(self, snapshot: Snapshot, holding: Holding) -> "Shard":
        """A shard of other blocks with this one's model and threads, good for as long as this one has these weights.

        Any block gives the same numbers here as where it is held.
        """
        self.load(snapshot)
        other = copy.copy(self)
        other._embedding = self._embedding.standing_in(holding.at(snapshot.edition))
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
        self, snapshot: Snapshot, strategy: Strategy, prepared: Prepared, round: Round, portion: Portion
    ) -> Sample:
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

    def embed(self, snapshot: Snapshot, part: Part, ask: Ask, wanted: Index | Lot | None = None) -> Embedded | None:
        """The embeddings of this shard's bags of a part, of those of a lot, or of the `wanted`; None if it has none."""
        self.load(snapshot)
        holding = self._embedding.holding
        blocks = holding.blocks(part, wanted if isinstance(wanted, Lot) else None)
        if isinstance(wanted, np.ndarray):
            blocks = np.intersect1d(blocks, wanted // holding.block).tolist()
        parts = list(self._in_parallel(lambda block: self._embedding.block(snapshot, part, block, ask), blocks))
        if not parts:
            return None
        merged = Embedded.merge(parts)
        return merged.take(np.flatnonzero(np.isin(merged.index, wanted))) if isinstance(wanted, np.ndarray) else merged

    def bag_bytes(self, snapshot: Snapshot, ask: Ask, lot: Lot | None = None) -> int:
        """What one bag's embedding takes, in bytes, by this shard's first block; 0 if it has none."""
        self.load(snapshot)
        blocks = self._embedding.holding.blocks("pool", lot)
        first = self._embedding.block(snapshot, "pool", blocks[0], ask) if len(blocks) else None
        return first.size_bytes // len(first.index) if first else 0

    def measure(self, snapshot: Snapshot, wanted: PointsAsk) -> Measured:
        """This shard's bags as points, which are kept for `rows`."""
        return self._points_of(snapshot, wanted).measured

    def rows(self, snapshot: Snapshot, wanted: PointsAsk, grid: Grid, method: str, args: Sequence[Any]) -> Any:
        """`Rows.method(*args)` of this shard's points on the grid."""
        return getattr(self._points_of(snapshot, wanted).rows(grid, self._body), method)(*args)

    def encode(self, snapshot: Snapshot, lot: Lot | None, also: Index | None) -> InstanceFeatures:
        """Features of this shard's share of the instances in a lot's bags and in the blocks of those at `also`."""
        self.load(snapshot)
        holding = self._embedding.holding
        return encode_rows(self._embedding, shared_rows(holding.pool, holding.index(lot, also))[0], self._threads)

    def _points_of(self, snapshot: Snapshot, wanted: PointsAsk) -> BagPoints:
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
