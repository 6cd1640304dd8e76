"""Gumbel top-k on the bags called positive, with the inverse of each bag's inclusion probability as its weight.

Of the bags b with mass q_b and e_b = -ln u_b / q_b, u_b uniform, the k with the smallest e are a draw without
replacement in proportion to q (Efraimidis and Spirakis, 2006; it is Gumbel noise added to ln q). Given T, the
smallest e left out, a bag is included with probability π_b = 1 - exp(-q_b T), and the sum of f(b) / π_b over the
draw has the sum of f over all bags as its mean (Horvitz and Thompson, 1952; Duffield, Lund and Thorup, 2007, for
priority samples; Kool, van Hoof and Welling, 2019, for Gumbel top-k).
"""

from dataclasses import dataclass, replace

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.types import Candidates, Embedded, Picked, Round
from negsift.service.strategies.base import PoolView, Prepared, Strategy
from negsift.service.strategies.uncertainty import log_probs


@dataclass(frozen=True)
class HtGumbel(Strategy):
    """A draw in proportion to floor + (1 - floor) · p^power, p the probability of the positive class."""

    power: float = 1.0
    floor: float = 0.1

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """-e of every bag, (n,)."""
        log_p = log_probs(embedded.logits)[:, round.target]
        mass = self.floor + (1 - self.floor) * np.exp(self.power * log_p)
        return -_exponentials(round, embedded.index) / mass

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        """The k bags with the smallest e, weighted so that their mean weight is 1; by the next one's e as T."""
        picked = view.top_k(self, prepared, replace(round, k=min(round.k + 1, round.pool.bags)))
        best = picked.candidates
        if len(best.index) <= round.k:  # nothing was left out
            return picked
        index, score = best.index[: round.k], best.score[: round.k]
        weight = 1 / inclusion(_exponentials(round, index) / -score, -best.score[round.k])
        mean = weight.mean() if round.k else 1.0
        return replace(picked, candidates=Candidates(index, score, best.seen, best.dropped), weight=weight / mean)


def inclusion(mass: Floats, threshold: float) -> Floats:
    """π = 1 - exp(-q T) of bags with mass q (n,), given the smallest e left out, T."""
    return np.asarray(-np.expm1(-mass * threshold), dtype=np.float64)


def _exponentials(round: Round, index: Index) -> Floats:
    """-ln u of every bag, (n,), above 0."""
    uniform = uniform_keys(stream_key(round.seed, "gumbel", round.epoch), index)
    return np.maximum(-np.log(uniform), 2.0**-54)
