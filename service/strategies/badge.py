"""BADGE (Ash et al., ICLR 2020, arXiv 1906.03671, Alg. 1): k-means++ centres among the last-layer gradients."""

from dataclasses import dataclass

from negsift.common.errors import UnknownName
from negsift.common.types import Need, Picked, Round
from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.faiss_engines import ENGINES
from negsift.service.kmeanspp.seeding import SeedingSpec
from negsift.service.points.bag_points import PointsSpec
from negsift.service.strategies.base import PoolView, Prepared, Strategy

ENGINE_NAMES = ("exact", *ENGINES)


@dataclass(frozen=True)
class Badge(Strategy):
    """Large and diverse gradients: k-means++ on the gradients, the largest first."""

    engine: str = "exact"
    """`exact`: D² sampling in a few rounds, wherever the points are; `faiss` and `faiss_afkmc2` gather them."""
    first: str = "norm"
    """The first centre: the largest gradient (`norm`, as the authors' code), or any (`random`, as k-means++)."""

    need = Need.GRADIENT

    def __post_init__(self) -> None:
        if self.engine not in ENGINE_NAMES:
            raise UnknownName("strategy.engine", self.engine, ENGINE_NAMES)

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        """Centres in the order drawn; a bag's score is its squared distance to the centres before it."""
        points = view.points(PointsSpec(self.embedding_spec(round)))
        spec = SeedingSpec(round.k, round.seed, round.epoch, self.first == "random")
        exact = self.engine == "exact"
        return points.picked(d2_sample(points.pool, spec) if exact else ENGINES[self.engine](points.gathered, spec))
