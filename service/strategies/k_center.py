"""k-centre greedy, the "core-set" of Sener and Savarese (ICLR 2018, arXiv 1708.00489, Alg. 1)."""

from typing import TYPE_CHECKING

from common.types import Need, Picked, Round
from service.bag_points import PointsAsk
from service.kmeanspp import Wanted, spread_evenly
from service.strategies.base import Prepared, Strategy

if TYPE_CHECKING:
    from service.view import View


class KCenter(Strategy):
    """Features that cover the pool's: each the farthest from those before, the longest first."""

    need = Need.FEATURES

    def pick(self, view: "View", prepared: Prepared, round: Round) -> Picked:
        """Centres in order; a bag's score is its squared distance to the centres before it.

        The core-set paper begins with the labelled bags; all of a negative pool are as good as
        labelled, so it begins with the longest features here.
        """
        points = view.points(PointsAsk(self.ask(round), of="features"))
        return points.picked(spread_evenly(points.pool, Wanted(round.k, round.seed, round.epoch)))
