"""The pool as a strategy sees it in one round: the best of it, its embeddings, or its points on their shards."""

from dataclasses import replace
from typing import Any

from common.lots import Lot
from common.models.embed import Ask
from common.types import Embedded, Index, Picked, Round
from service.bag_points import Grid, PointsAsk
from service.best import best_of_all
from service.fleet import Fleet
from service.holding import Part
from service.shared_points import Layout, ShardPoints, SharedPoints
from service.stopwatch import Stopwatch
from service.strategies.base import Prepared, Strategy


class View:
    """One round's access to a fleet, with the weights `published`; of the pool only a `lot`, if there is one."""

    def __init__(self, fleet: Fleet, published: Any, layout: Layout, watch: Stopwatch, lot: Lot | None = None) -> None:
        self._fleet, self._published, self._layout, self._watch = fleet, published, layout, watch
        self._lot = lot

    def best(self, strategy: Strategy, prepared: Prepared, round: Round) -> Picked:
        """The k bags that `strategy` scores highest."""
        with self._watch.stage("score"):
            return best_of_all(self._fleet, self._published, (strategy, prepared), round)

    def embed(self, part: Part, ask: Ask, wanted: Index | None = None) -> Embedded:
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

    def points(self, wanted: PointsAsk) -> SharedPoints:
        """The pool's bags as points on one grid; each shard keeps its own."""
        wanted = replace(wanted, lot=self._lot)
        with self._watch.stage("score"):
            parts = self._fleet.ask("measure", self._published, wanted)
        grid = Grid.over(parts)
        return SharedPoints(ShardPoints(self._fleet, self._published, wanted, grid), parts, grid, self._layout)
