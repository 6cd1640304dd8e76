"""k-centre greedy, the "core-set" of Sener and Savarese (ICLR 2018, arXiv 1708.00489, Alg. 1)."""

from negsift.common.types import Need, Picked, Round
from negsift.service.kmeanspp.farthest_first import farthest_first
from negsift.service.kmeanspp.seeding import SeedingSpec
from negsift.service.points.bag_points import PointsSpec
from negsift.service.strategies.base import PoolView, Prepared, Strategy


class KCenter(Strategy):
    """Features that cover the pool's: each the farthest from those before, the longest first."""

    need = Need.FEATURES

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        """Centres in order; a bag's score is its squared distance to the centres before it.

        The paper begins with the labelled bags. All of a negative pool are as good as labelled, so the longest begin.
        Features that lie 16 times farther from 0 than they spread are moved there first (see `points.grid`).
        """
        points = view.points(PointsSpec(self.embedding_spec(round), of="features"))
        return points.picked(farthest_first(points.pool, SeedingSpec(round.k, round.seed, round.epoch)))
