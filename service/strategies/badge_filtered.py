"""BADGE among the bags of the largest gradients, for pools whose points fit on no shard (1e7 bags and more)."""

from dataclasses import dataclass, replace

import numpy as np

from negsift.common.types import Need, Picked, Round
from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.messages import RateBasis
from negsift.service.kmeanspp.queries import SumSquares
from negsift.service.kmeanspp.seeding import Seeding, SeedingSpec
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
        seeding = d2_sample(points.pool, SeedingSpec(round.k, round.seed, round.epoch))
        return points.picked(seeding, left_out(points, seeding))


def left_out(points: SharedPoints, seeding: Seeding) -> float:
    """An upper bound of the mean, over draws, of the probability that a bag below the floor would have been drawn.

    Before draw t, Σ D² of these bags is at most B_t = Σ (|u| + r_t)², where r_t is the smallest norm of a centre.
    Φ_t = Σ D² of the bags considered only falls; it is measured after k/8, k/4, k/2 and all draws. D² sampling
    draws in proportion to D², so the probability is at most B_t / (B_t + Φ_t).
    """
    if not points.below.count or seeding.centres is None or len(seeding.centres) < 2:
        return float(points.below.count > 0) if seeding.filled else 0.0
    drawn = len(seeding.centres)
    radii = np.sqrt(np.minimum.accumulate(seeding.centres.squares) * points.square)
    chances = np.ones(len(seeding.index) - 1)
    for count in sorted({max(drawn >> shift, 1) for shift in range(_LOOKS)}, reverse=True):
        basis = RateBasis(seeding.centres.take(slice(count)))
        considered = sum(points.pool.ask(SumSquares(basis))) * points.square
        below = np.array([points.below.total_rate(float(radius)) for radius in radii[: count - 1]])
        chances[: count - 1] = below / (below + considered)
    return float(chances.mean())
