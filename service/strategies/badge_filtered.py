"""BADGE among the bags of the largest gradients, for pools whose points fit on no shard (1e7 bags and more)."""

from dataclasses import dataclass, replace

import numpy as np

from negsift.common.types import Need, Picked, Round
from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.messages import RateBasis, Seeding
from negsift.service.kmeanspp.point_pool import SeedingSpec
from negsift.service.kmeanspp.queries import SumSquares
from negsift.service.points.bag_points import PointsSpec
from negsift.service.points.shared_points import SharedPoints
from negsift.service.strategies.base import PoolView, Prepared, Strategy
from negsift.service.strategies.gradient_embedding import GradientEmbedding

_LOOKS = 4


@dataclass(frozen=True)
class BadgeFiltered(Strategy):
    """BADGE among the `keep`·k largest gradients; says how likely a draw would have gone to another bag."""

    keep: int = 10

    need = Need.GRADIENT

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        """As BADGE's; `left_out` bounds the chance, averaged over draws, that a bag left out would have been drawn."""
        best = view.top_k(GradientEmbedding(self.label), {}, replace(round, k=self.keep * round.k)).candidates
        floor = (float(best.score[-1]), int(best.index[-1])) if len(best.index) else None
        points = view.points(PointsSpec(self.embedding_spec(round), floor=floor))
        spread = d2_sample(points.pool, SeedingSpec(round.k, round.seed, round.epoch))
        return points.picked(spread, left_out(points, spread))


def left_out(points: SharedPoints, spread: Seeding) -> float:
    """An upper bound of the mean, over draws, of the probability that bags below the floor could have had.

    Before draw t their D² sum to B_t = Σ (|u| + r_t)² at most, r_t the smallest norm among the centres; and those of
    the bags considered to Φ_t, which only falls and is looked at after k/8, k/4, k/2 and all draws. The chance is at
    most B_t / (B_t + Φ_t), since D² sampling draws in proportion.
    """
    if not points.below.count or spread.centres is None or len(spread.centres) < 2:
        return float(points.below.count > 0) if spread.filled else 0.0
    drawn = len(spread.centres)
    radius = np.sqrt(np.minimum.accumulate(spread.centres.squares) * points.square)
    chances = np.ones(len(spread.index) - 1)
    for look in sorted({max(drawn >> shift, 1) for shift in range(_LOOKS)}, reverse=True):
        mass = sum(points.pool.ask(SumSquares(RateBasis(spread.centres.take(slice(look)))))) * points.square
        before = np.array([points.below.weight(float(norm)) for norm in radius[: look - 1]])
        chances[: look - 1] = before / (before + mass)
    return float(chances.mean())
