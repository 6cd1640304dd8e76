"""BADGE (Ash et al., arXiv 1906.03671, Alg. 1): k-means++ centres among the last-layer gradients."""

import numpy as np

from common.types import Candidates, Embedded, Need, Round
from service.kmeanspp_old import spread_out
from service.strategies.base import Strategy


class Badge(Strategy):
    """Large and diverse gradients: k-means++ on the gradients, the largest first."""

    need = Need.GRADIENT
    whole = True

    def pick(self, embedded: Embedded, round: Round) -> tuple[Candidates, int]:
        """Centres in the order drawn; a bag's score is its squared distance to the centres before it."""
        assert embedded.gradient is not None  # need says so
        finite = np.flatnonzero(np.isfinite(embedded.gradient.norm))
        rows, score, filled = spread_out(embedded.take(finite), round)
        chosen = embedded.index[finite][rows]
        seen = len(embedded.index)
        return Candidates(chosen, score, seen, seen - len(finite)), filled
