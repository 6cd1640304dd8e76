"""BADGE (Ash et al., arXiv 1906.03671, Alg. 1): k-means++ centres among the last-layer gradients."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.types import Need, Picked, Round
from service.bag_points import PointsAsk
from service.kmeanspp import Wanted, spread_out
from service.strategies.base import Prepared, Strategy

if TYPE_CHECKING:
    from service.view import View


@dataclass(frozen=True)
class Badge(Strategy):
    """Large and diverse gradients: k-means++ on the gradients, the largest first."""

    need = Need.GRADIENT

    def pick(self, view: "View", prepared: Prepared, round: Round) -> Picked:
        """Centres in the order drawn; a bag's score is its squared distance to the centres before it."""
        points = view.points(PointsAsk(self.ask(round)))
        return points.picked(spread_out(points.pool, Wanted(round.k, round.seed, round.epoch)))
