"""A shard: some whole blocks of the pool, embedded and scored with the weights of the call.

A block is always embedded as one batch and on one thread, so its numbers don't depend on which
shard holds it, on how many threads work, or on what was embedded before.
"""

import copy
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from common.data.table.feed import Feed
from common.errors import BadModel
from common.models.adapt import Embedder
from common.models.bag import BagClassifier
from common.models.embed import Ask
from common.types import Candidates, Embedded, Index, InstanceFeatures, Need, Round, Snapshot
from common.weights import load_snapshot
from service.bag_points import BagPoints, Grid, Measured, PointsAsk
from service.instances import encode_rows, shared_rows
from service.kmeanspp.torch_loops import TorchLoops
from service.merge import merge
from service.partition import block_index
from service.rolling import rolling_map
from service.room import Room
from service.source import BagSource, move
from service.strategies.base import Prepared, Strategy

Part = Literal["pool", "positives"]
T = TypeVar("T")


@dataclass(frozen=True)
class Holding:
    """What a shard holds: its blocks of the pool and of the positives, all of `block` bags.

    `share` is (the shard's number, how many shards there are).
    """

    pool: BagSource
    positives: BagSource
    pool_blocks: range
    positive_blocks: range
    block: int
    share: tuple[int, int]

    def blocks(self, part: Part) -> range:
        """The blocks of one part."""
        return self.pool_blocks if part == "pool" else self.positive_blocks

    def source(self, part: Part) -> BagSource:
        """The bags of one part."""
        return self.pool if part == "pool" else self.positives

    def at(self, edition: int) -> "Holding":
        """What the same shard holds of a version of the pool; the same as ever where the pool is no table."""
        feed = self.pool.dataset
        if not isinstance(feed, Feed) or edition in (0, feed.bags.version):
            return self
        source = dataclasses.replace(self.pool, dataset=feed.bags.at(edition))
        pool, blocks = source.share(self.share, self.block, feed.budget)
        return dataclasses.replace(self, pool=pool, pool_blocks=blocks)


class Shard:
    """Embeds and scores what it holds; keeps the embeddings of the current weights within `cache_bytes`."""

    def __init__(self, holding: Holding, model: Embedder, threads: Executor, cache_bytes: int) -> None:
        """`threads` come from `block_workers`; `model` is this shard's own copy."""
        self._holding, self._threads, self._cache_bytes = holding, threads, cache_bytes
        self._model = model.eval()
        self._device = next((p.device for p in model.parameters()), torch.device("cpu"))
        on_gpu = self._device.type == "cuda"
        self._body = functools.partial(TorchLoops, device=self._device) if on_gpu else None
        self._digest, self._held_bytes = "", 0
        self._kept: dict[tuple[Part, int, Ask], Embedded] = {}
        self._points: tuple[PointsAsk, BagPoints] | None = None
        self._lock, self._room = threading.Lock(), Room()

    def standing_in(self, snapshot: Snapshot, holding: Holding) -> "Shard":
        """A shard of other blocks with this one's model and threads, good for one call with these weights.

        Any block gives the same numbers here as where it is held.
        """
        self._load(snapshot)
        other = copy.copy(self)
        other._holding, other._lock = holding.at(snapshot.edition), threading.Lock()
        other._kept, other._held_bytes, other._cache_bytes, other._points = {}, 0, 0, None
        return other

    @property
    def blocks(self) -> int:
        """How many blocks of the pool it holds."""
        return len(self._holding.pool_blocks)

    @property
    def kept_bytes(self) -> int:
        """What its kept embeddings take."""
        return self._held_bytes

    def allow(self, cache_bytes: int) -> None:
        """Keep embeddings within so many bytes from now on."""
        self._cache_bytes = cache_bytes

    def rest(self, keep: bool) -> None:
        """Let go of points, and of the kept embeddings unless `keep`, while another shard is asked."""
        with self._lock:
            self._points = None
            if not keep:
                self._kept.clear()
                self._held_bytes = 0

    def candidates(self, snapshot: Snapshot, strategy: Strategy, prepared: Prepared, round: Round) -> Candidates:
        """This shard's best k bags for `strategy`."""
        ask = strategy.ask(round)

        def score(block: int) -> Candidates:
            return strategy.candidates(self._block(snapshot, "pool", block, ask), prepared, round)

        self._load(snapshot)
        return merge(rolling_map(self._threads, score, self._holding.pool_blocks), round.k)

    def embed(self, snapshot: Snapshot, part: Part, ask: Ask, wanted: Index | None = None) -> Embedded | None:
        """The embeddings of this shard's bags of a part, or of the `wanted` among them; None if it has none."""

        def embed(block: int) -> Embedded:
            return self._block(snapshot, part, block, ask)

        self._load(snapshot)
        blocks: Sequence[int] = self._holding.blocks(part)
        if wanted is not None:
            blocks = np.intersect1d(blocks, wanted // self._holding.block).tolist()
        parts = self._each(embed, blocks)
        if not parts:
            return None
        merged = Embedded.merge(parts)
        return merged if wanted is None else merged.take(np.flatnonzero(np.isin(merged.index, wanted)))

    def bag_bytes(self, snapshot: Snapshot, ask: Ask) -> int:
        """What one bag's embedding takes, in bytes, by this shard's first block; 0 if it has none."""
        self._load(snapshot)
        blocks = self._holding.pool_blocks
        first = self._block(snapshot, "pool", blocks[0], ask) if blocks else None
        return first.size_bytes // len(first.index) if first else 0

    def measure(self, snapshot: Snapshot, wanted: PointsAsk) -> Measured:
        """This shard's bags as points, which are kept for `rows`."""
        return self._points_of(snapshot, wanted).measured

    def rows(self, snapshot: Snapshot, wanted: PointsAsk, grid: Grid, method: str, args: Sequence[Any]) -> Any:
        """`Rows.method(*args)` of this shard's points on the grid."""
        return getattr(self._points_of(snapshot, wanted).rows(grid, self._body), method)(*args)

    def encode(self, snapshot: Snapshot) -> InstanceFeatures:
        """Features of this shard's share of the pool's instances, for pools whose bags share instances."""
        self._load(snapshot)
        assert isinstance(self._model, BagClassifier)  # the coordinator asks no other
        return encode_rows(self._model, self._holding.pool, self._holding.share, self._threads, self._room)

    def _points_of(self, snapshot: Snapshot, wanted: PointsAsk) -> BagPoints:
        self._load(snapshot)
        if self._points is None or self._points[0] != wanted:
            self._points = None  # its memory goes first

            def embed(block: int) -> Embedded:
                return self._block(snapshot, "pool", block, wanted.ask, keep=False)

            blocks, source = self._holding.pool_blocks, self._holding.pool
            held = sum(len(block_index(block, self._holding.block, len(source))) for block in blocks)
            parts = self._in_parallel(embed, blocks)
            self._points = wanted, BagPoints(parts, held, wanted, self._cache_bytes)
        return self._points[1]

    def _each(self, work: Callable[[int], T], blocks: Sequence[int]) -> list[T]:
        return list(self._in_parallel(work, blocks))

    def _in_parallel(self, work: Callable[[int], T], blocks: Sequence[int]) -> Iterator[T]:
        """`work` of every block, in their order; in a terminal with a bar, if it takes longer than a moment."""
        number, shards = self._holding.share
        told = f"scoring, shard {number + 1} of {shards}"
        bar = tqdm(total=len(blocks), desc=told, disable=None, leave=False, unit="block", delay=1)
        with bar:
            for part in self._threads.map(work, blocks):
                bar.update()
                yield part

    def _block(self, snapshot: Snapshot, part: Part, block: int, ask: Ask, keep: bool = True) -> Embedded:
        self._load(snapshot)
        kept = self._find(part, block, ask)
        if kept is not None:
            return kept
        source = self._holding.source(part)
        features = snapshot.features if part == "pool" else None
        index = block_index(block, self._holding.block, len(source))
        told = f"block {block} of the {part} ({len(index)} bags)"
        embedded = self._room.fit(lambda: self._embed(source, index, ask, features), told)
        with self._lock:
            if keep and self._held_bytes + embedded.size_bytes <= self._cache_bytes:
                self._kept[part, block, _depth(ask)] = embedded
                self._held_bytes += embedded.size_bytes
        return embedded

    def _find(self, part: Part, block: int, ask: Ask) -> Embedded | None:
        """A kept embedding that says as much as is asked; one with gradients serves those who ask for none."""
        found = self._kept.get((part, block, _depth(ask)))
        if found is not None or not Need.NOTHING < ask.need < Need.GRADIENT:
            return found
        deep = (self._kept.get((part, block, Ask(Need.GRADIENT, label, ask.target))) for label in ("pseudo", "known"))
        return next((Embedded(one.index, one.logits, one.features) for one in deep if one is not None), None)

    def _embed(self, source: BagSource, index: Index, ask: Ask, known: InstanceFeatures | None) -> Embedded:
        if ask.need == Need.NOTHING:
            nothing = np.zeros((len(index), 0), dtype=np.float32)
            return Embedded(index, nothing, nothing)
        with torch.inference_mode():
            if known is not None and isinstance(self._model, BagClassifier):
                rows, sizes = shared_rows(source, index)
                features = torch.from_numpy(known.at(rows)).to(self._device)
                embedded = self._model.pool(features, sizes, index, ask)
            else:
                embedded = self._model.embed(move(source.batch(index), self._device), index, ask)
        if embedded.logits.shape[1] < 2:
            raise BadModel(f"{embedded.logits.shape[1]} logits a bag", "two or more", "give the head two classes")
        return embedded

    def _load(self, snapshot: Snapshot) -> None:
        with self._lock:
            if snapshot.digest != self._digest:
                load_snapshot(self._model, snapshot)
                self._holding = self._holding.at(snapshot.edition)
                self._digest, self._held_bytes, self._points = snapshot.digest, 0, None
                self._kept.clear()


def _depth(ask: Ask) -> Ask:
    """What is computed for an ask: logits and features come together, whatever the target is."""
    return Ask(Need.FEATURES) if Need.NOTHING < ask.need < Need.GRADIENT else ask
