"""The pool as a strategy sees it in one round: the best of it, its embeddings, or its points on their shards."""

from dataclasses import replace
from typing import Any

from negsift.common.arrays import Index
from negsift.common.block_subset import BlockSubset
from negsift.common.stage_timer import StageTimer
from negsift.common.types import Embedded, EmbeddingSpec, Picked, Round
from negsift.service.fleet.local import Fleet
from negsift.service.points.bag_points import Grid, PointsSpec
from negsift.service.points.shared_points import PoolLayout, ShardPoints, SharedPoints
from negsift.service.pool.shard_data import Part
from negsift.service.selection.distributed_top_k import distributed_top_k
from negsift.service.strategies.base import Prepared, Strategy


class PoolView:
    """One round's access to a fleet, with the weights `published`; of the pool only a `lot`, if there is one."""

    def __init__(
        self, fleet: Fleet, published: Any, layout: PoolLayout, watch: StageTimer, lot: BlockSubset | None = None
    ) -> None:
        self._fleet, self._published, self._layout, self._watch = fleet, published, layout, watch
        self._lot = lot

    def best(self, strategy: Strategy, prepared: Prepared, round: Round) -> Picked:
        """The k bags that `strategy` scores highest."""
        with self._watch.stage("score"):
            return distributed_top_k(self._fleet, self._published, (strategy, prepared), round)

    def embed(self, part: Part, ask: EmbeddingSpec, wanted: Index | None = None) -> Embedded:
        """The embeddings of the bags of a part, or of the `wanted` among them, in the order of their index.

        Raises ServiceError if a whole pool's take more than the coordinator may gather.
        """
        with self._watch.stage("score"):
            which = self._lot if part == "pool" and wanted is None else wanted
            if part == "pool" and wanted is None:
                needed = max(self._fleet.ask("bag_bytes", self._published, ask, self._lot))
                self._layout.require_room(needed, "a top-k strategy")
            answers = self._fleet.ask("embed", self._published, part, ask, which)
        return Embedded.merge([answer for answer in answers if answer is not None])

    def points(self, wanted: PointsSpec) -> SharedPoints:
        """The pool's bags as points on one grid; each shard keeps its own."""
        wanted = replace(wanted, lot=self._lot)
        with self._watch.stage("score"):
            parts = self._fleet.ask("measure", self._published, wanted)
        grid = Grid.over(parts)
        return SharedPoints(ShardPoints(self._fleet, self._published, wanted, grid), parts, grid, self._layout)
