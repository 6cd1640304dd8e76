"""Whether a round's answer has as many bags as it was asked for, and the error if not."""

import logging

from negsift.common.guards import Guards
from negsift.common.types import Candidates, Round
from negsift.service.selection.guards import too_few_left
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
