"""The base class of strategies: a score for every bag, and optionally something learnt from the positives first.

A new strategy is a class in a file of its own that overrides `score` (and `prepare`), or `pick` if scores of
single bags can't express what it wants; and a row in `STRATEGIES`. `contract` has what its answers must be.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from negsift.common.arrays import Floats, Index
from negsift.common.types import Embedded, EmbeddingSpec, Need, Picked, Round
from negsift.service.points.bag_points import PointsSpec
from negsift.service.points.shared_points import SharedPoints

Prepared = Mapping[str, Floats]


class PoolView(Protocol):
    """The pool in one round, as `Strategy.pick` sees it: all bags, or the round's subset; `FleetView` is its body."""

    def top_k(self, strategy: "Strategy", prepared: Prepared, round: Round) -> Picked:
        """The `round.most` bags that `strategy` scores highest."""

    def embed_pool(self, spec: EmbeddingSpec, index: Index | None = None) -> Embedded:
        """The embeddings of all bags, or of those at `index`, in ascending order of index."""

    def points(self, spec: PointsSpec) -> SharedPoints:
        """The bags as points on one grid; each shard keeps its own."""


@dataclass(frozen=True)
class Strategy:
    """Top-k by score. The class attributes say what the service has to provide."""

    label: str = "pseudo"
    """The class that gradients are taken for: pseudo (the predicted one) or known (negative)."""
    need: ClassVar[Need] = Need.LOGITS
    """How much of every bag `score` looks at."""
    learns_from_positives: ClassVar[bool] = False
    """Whether `prepare` gets the embeddings of the positive bags."""
    learns_from_negatives: ClassVar[bool] = False
    """Whether `prepare` gets those of the negatives in use: the last selection, or k random bags at first."""
    elementwise: ClassVar[bool] = False
    """Whether a bag's score has the same bits in any company, which products of matrices do not promise."""
    imports: ClassVar[tuple[str, ...]] = ()  # modules that it imports when it first runs

    def embedding_spec(self, round: Round) -> EmbeddingSpec:
        """What to compute of every bag in a round."""
        return EmbeddingSpec(self.need, self.label, round.target)

    def prepare(self, positives: Embedded, negatives: Embedded) -> Prepared:
        """What is learnt once a round, before scoring; nothing by default."""
        return {}

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """One float64 a bag, (n,), larger is wanted more; may depend on other bags through `prepared` only."""
        raise NotImplementedError

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        """k bags of the pool, best first; by default those of the highest score."""
        return view.top_k(self, prepared, round)
