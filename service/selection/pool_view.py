"""The pool as a strategy sees it in one round: the best of it, its embeddings, or its points on their shards."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from negsift.common.arrays import Index
from negsift.common.stage_timer import StageTimer
from negsift.common.types import Embedded, EmbeddingSpec, Picked, Round
from negsift.service.kmeanspp.queries import PointQuery
from negsift.service.points.bag_points import PointsSpec
from negsift.service.points.grid import Grid
from negsift.service.points.shared_points import GatherLimits, SharedPoints
from negsift.service.scoring.requests import Embed, EmbeddingBytes, Fleet, MeasurePoints, QueryPoints
from negsift.service.selection.distributed_top_k import distributed_top_k
from negsift.service.strategies.base import PoolView, Prepared, Strategy

T = TypeVar("T")


class FleetView(PoolView):
    """One round's access to the bags of a fleet, or to those of the round's `subset`; times go to stage `score`."""

    def __init__(self, fleet: Fleet, round: Round, limits: GatherLimits, timer: StageTimer) -> None:
        self._fleet, self._limits, self._timer = fleet, limits, timer
        self._bags, self._subset = round.pool.bags, round.subset

    def top_k(self, strategy: Strategy, prepared: Prepared, round: Round) -> Picked:
        """The `round.most` bags that `strategy` scores highest."""
        with self._timer.stage("score"):
            return distributed_top_k(self._fleet, strategy, prepared, round)

    def embed_pool(self, spec: EmbeddingSpec, index: Index | None = None) -> Embedded:
        """Embeddings of all bags or those at `index`, by index; raises ServiceError for more than may be gathered."""
        if index is not None:
            return self._embed(Embed("pool", spec, index=index))
        with self._timer.stage("score"):
            bag_bytes = max(self._fleet.ask(EmbeddingBytes(spec, self._subset)))
        self._limits.require_room(bag_bytes * self._bags, "a top-k strategy")
        return self._embed(Embed("pool", spec, self._subset))

    def embed_positives(self, spec: EmbeddingSpec) -> Embedded:
        """The embeddings of the positive bags."""
        return self._embed(Embed("positives", spec))

    def points(self, spec: PointsSpec) -> SharedPoints:
        """The bags as points on one grid; each shard keeps its own."""
        spec = replace(spec, subset=self._subset)
        with self._timer.stage("score"):
            parts = self._fleet.ask(MeasurePoints(spec))
        grid = spec.grid(parts)
        return SharedPoints(FleetPoints(self._fleet, spec, grid), parts, grid, self._limits)

    def _embed(self, request: Embed) -> Embedded:
        with self._timer.stage("score"):
            answers = self._fleet.ask(request)
        return Embedded.merge([answer for answer in answers if answer is not None])


class FleetPoints:
    """The points on the shards of a fleet, for queries of k-means++."""

    def __init__(self, fleet: Fleet, spec: PointsSpec, grid: Grid) -> None:
        self._fleet, self._spec, self._grid = fleet, spec, grid

    @property
    def restarts(self) -> int:
        """How often a shard may have lost the state of earlier queries so far."""
        recovery = self._fleet.recovery
        return recovery.retries + recovery.restarts + recovery.taken_over

    def ask(self, query: PointQuery[T]) -> Sequence[T]:
        """The answers of all shards."""
        return self._fleet.ask(QueryPoints(self._spec, self._grid, query))
