"""Whether a round's answer has as many bags as it was asked for, and the error if not."""

import logging

from negsift.common.errors import BadInput
from negsift.common.guards import Guards
from negsift.common.types import Candidates, Round
from negsift.service.selection.task import lacking_scores

log = logging.getLogger(__name__)


def require_enough(candidates: Candidates, round: Round, share: float | None = None) -> None:
    """Raise BadInput for fewer than k bags; `share` is that of the guard of positives. What was dropped is told."""
    if candidates.dropped:
        log.warning("epoch %d: %d bags left out, their scores are not finite", round.epoch, candidates.dropped)
    count = len(candidates.index)
    if round.all_scores or round.k <= count <= round.most:
        return
    if share is not None and count + candidates.guarded >= round.k:
        raise too_few_left(Guards(positives=share), count, candidates.seen, round.k)
    raise lacking_scores(count, candidates.seen, round.k)


def too_few_left(guards: Guards, left: int, bags: int, k: int) -> BadInput:
    """The error of guards that leave too few of the bags that competed."""
    return BadInput(f"{left} of {bags} bags left by {guards}", f"{k} at least", "loosen it, or lower k")
