"""What every strategy's answer must be: one finite or not finite float64 a bag, and distinct positions of the pool."""

import numpy as np

from negsift.common.errors import BadInput
from negsift.common.types import Candidates, Embedded, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.uncertainty import log_odds
from negsift.service.top_k import top_k


def candidates(strategy: Strategy, embedded: Embedded, prepared: Prepared, round: Round) -> Candidates:
    """The best `round.most` of the bags with finite scores and log-odds up to `round.limit`.

    Raises BadInput unless `score` gives float64 (n,).
    """
    with np.errstate(invalid="ignore", over="ignore"):  # scores that are not finite are counted below
        score = strategy.score(embedded, prepared, round)
    found = f"{score.dtype}{score.shape}" if isinstance(score, np.ndarray) else f"of type {type(score).__name__}"
    if found != (expected := f"float64{embedded.index.shape}"):
        raise BadInput(
            f"scores {found} from {type(strategy).__name__}", f"{expected}, one score a bag",
            "correct its score method",
        )  # fmt: skip
    finite = np.flatnonzero(np.isfinite(score))
    within = finite
    if round.limit is not None:
        within = finite[~(log_odds(embedded.logits[finite], round.target) > round.limit)]  # NaN is not above it
    rows = within[top_k(embedded.index[within], score[within], round.most)]
    dropped, guarded = len(score) - len(finite), len(finite) - len(within)
    return Candidates(embedded.index[rows], score[rows], len(score), dropped, guarded)


def check_picks(strategy: Strategy, picks: Candidates, round: Round) -> None:
    """Raise BadInput if `pick` gave a bag twice, or one that isn't there."""
    index, bags = picks.index, round.pool.bags
    if len(np.unique(index)) < len(index) or not ((index >= 0) & (index < bags)).all():
        found = f"bags picked twice or out of range by {type(strategy).__name__}"
        raise BadInput(found, f"distinct positions below {bags}", "correct its pick method")
