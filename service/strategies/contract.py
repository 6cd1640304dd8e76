"""What every strategy's answer must be: one finite or not finite float64 a bag, and distinct positions of the pool."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Floats
from negsift.common.errors import BadInput
from negsift.common.types import Candidates, Embedded, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.uncertainty import log_odds


def candidates(strategy: Strategy, blocks: Iterable[Embedded], prepared: Prepared, round: Round) -> Candidates:
    """The blocks' bags with finite scores and log-odds up to `round.limit`, in no order.

    Each block is scored by itself: a product of matrices may round otherwise in other company. Raises BadInput unless
    `score` gives float64 (n,).
    """
    with np.errstate(invalid="ignore", over="ignore"):  # scores that are not finite are counted below
        scored = [(one.index, _scores(strategy, one, prepared, round), _over(one, round)) for one in blocks]
    index, score, over = scored[0] if len(scored) == 1 else map(np.concatenate, zip(*scored, strict=True))
    finite = np.isfinite(score)
    seen, dropped, guarded = len(score), int((~finite).sum()), int((over & finite).sum())
    if dropped or guarded:
        index, score = index[finite & ~over], score[finite & ~over]
    return Candidates(index, score, seen, dropped, guarded)


def _scores(strategy: Strategy, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
    score: object = strategy.score(embedded, prepared, round)
    if isinstance(score, np.ndarray) and score.dtype == np.float64 and score.shape == embedded.index.shape:
        return score
    found = f"{score.dtype}{score.shape}" if isinstance(score, np.ndarray) else f"of type {type(score).__name__}"
    expected = f"float64{embedded.index.shape}, one score a bag"
    raise BadInput(f"scores {found} from {type(strategy).__name__}", expected, "correct its score method")


def _over(embedded: Embedded, round: Round) -> NDArray[np.bool_]:
    """Whether a bag's log-odds are above the round's limit, (n,); NaN is not."""
    if round.limit is None:
        return np.zeros(len(embedded.index), dtype=np.bool_)
    return np.asarray(log_odds(embedded.logits, round.target) > round.limit, dtype=np.bool_)


def check_picks(strategy: Strategy, picks: Candidates, round: Round) -> None:
    """Raise BadInput if `pick` gave a bag twice, or one that isn't there."""
    index, bags = picks.index, round.pool.bags
    if len(np.unique(index)) < len(index) or not ((index >= 0) & (index < bags)).all():
        found = f"bags picked twice or out of range by {type(strategy).__name__}"
        raise BadInput(found, f"distinct positions below {bags}", "correct its pick method")
