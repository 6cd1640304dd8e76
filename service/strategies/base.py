"""What a strategy is: a score for every bag, and perhaps something learnt from the positives first.

A new strategy is a class in a file of its own that overrides `score` (and `prepare`), or `pick` if no
score of one bag alone can say what it wants; and a row in `STRATEGIES`. Scores are larger for bags
wanted more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Floats
from negsift.common.errors import BadInput
from negsift.common.types import Candidates, Embedded, EmbeddingSpec, Need, Picked, Round
from negsift.service.top_k import top_k

if TYPE_CHECKING:
    from negsift.service.selection.pool_view import PoolView

Prepared = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Strategy:
    """Top-k by score. Class attributes say what the service has to provide."""

    label: str = "pseudo"
    """The class gradients are taken for: pseudo (the predicted one) or known (negative)."""

    need: ClassVar[Need] = Need.LOGITS
    """How much of every bag `score` looks at."""
    learns_from_positives: ClassVar[bool] = False
    """Whether `prepare` gets the positive bags' embeddings."""
    learns_from_negatives: ClassVar[bool] = False
    """Whether `prepare` gets those of the negatives in use (the last selection; k random ones at first)."""

    def ask(self, round: Round) -> EmbeddingSpec:
        """What to compute of every bag in a round."""
        return EmbeddingSpec(self.need, self.label, round.target)

    def prepare(self, positives: Embedded, negatives: Embedded) -> Prepared:
        """What is learnt once a round, before scoring; nothing by default."""
        return {}

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """One float64 for each bag of `embedded`; it may depend on no other bag but through `prepared`."""
        raise NotImplementedError

    def pick(self, view: "PoolView", prepared: Prepared, round: Round) -> Picked:
        """k bags of the pool, best first: those of the highest score, unless a strategy knows better."""
        return view.best(self, prepared, round)

    def candidates(self, embedded: Embedded, prepared: Prepared, round: Round) -> Candidates:
        """The best k of these bags with the form of the scores checked; those not finite are dropped."""
        with np.errstate(invalid="ignore", over="ignore"):  # bags not finite are counted below
            score = self.score(embedded, prepared, round)
        if score.shape != embedded.index.shape or score.dtype != np.float64:
            raise BadInput(
                f"scores {score.dtype}{score.shape} from {type(self).__name__}",
                f"float64{embedded.index.shape}, one score a bag",
                "correct its score method",
            )
        finite = np.isfinite(score)
        index, seen, dropped = embedded.index[finite], len(score), int((~finite).sum())
        rows = top_k(index, score[finite], round.k)
        return Candidates(index[rows], score[finite][rows], seen, dropped)
