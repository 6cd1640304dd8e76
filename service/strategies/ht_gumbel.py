"""Gumbel top-k on bags called positive or uncertain, weighted by the inverse of their inclusion probabilities.

Of the bags b with mass q_b and e_b = -ln u_b / q_b, u_b uniform, the k with the smallest e are a draw without
replacement in proportion to q (Efraimidis and Spirakis, 2006; it is Gumbel noise added to ln q). Given T, the
smallest e left out, a bag is included with probability π_b = 1 - exp(-q_b T), and the sum of f(b) / π_b over the
draw has the sum of f over all bags as its mean (Horvitz and Thompson, 1952; Duffield, Lund and Thorup, 2007, for
priority samples; Kool, van Hoof and Welling, 2019, for Gumbel top-k).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from negsift.common.arrays import Array, Floats, Index
from negsift.common.errors import BadInput, UnknownName
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.types import Draw, Embedded, Picked, Round
from negsift.service.strategies.base import PoolView, Prepared, Strategy
from negsift.service.strategies.uncertainty import log_probs


@dataclass(frozen=True)
class HtGumbel(Strategy):
    """A draw in proportion to floor + (1 - floor) · s^power, s a bag's `mass` between 0 and 1, one of `MASSES`."""

    mass: str = "probability"
    power: float = 1.0
    floor: float = 0.1

    def __post_init__(self) -> None:
        if self.mass not in MASSES:
            raise UnknownName("mass", self.mass, MASSES)
        if not (0 <= self.power < 1e3 and 0 < self.floor < 1):
            found = f"power={self.power:g} and floor={self.floor:g}"
            raise BadInput(found, "a power from 0 to below 1000, a floor between 0 and 1", "correct them")

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """-e of every bag, (n,)."""
        return -_exponentials(round, embedded.index) / self._mass(embedded.logits, round.target)

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        """The k bags with the smallest e, weighted so that their mean weight is 1; by the next one's e as T."""
        picked = view.top_k(self, prepared, replace(round, k=min(round.k + 1, round.pool.bags)))
        best = picked.candidates
        if len(best.index) <= round.k:  # nothing was left out
            return picked
        index, score = best.index[: round.k], best.score[: round.k]
        weight = 1 / inclusion(_exponentials(round, index) / -score, -best.score[round.k])
        mean = float(weight.mean()) if round.k else 1.0
        candidates, draw = replace(best, index=index, score=score), Draw(-float(best.score[round.k]), mean)
        return replace(picked, candidates=candidates, weight=weight / mean, draw=draw)

    def offset(self, margin: Floats, draw: Draw) -> Floats:
        """-ln π of bags with these differences of two logits (n,), had they been in the pool of the draw.

        It is what the log-odds of a bag are raised by where only drawn negatives are seen beside all positives (Fithian
        and Hastie, local case-control sampling, 2014; Wang et al., arXiv 2110.13048).
        """
        mass = self._mass(np.stack([np.zeros(len(margin)), margin], 1), 1)
        return np.asarray(-np.log(inclusion(mass, draw.threshold)), dtype=np.float64)

    def _mass(self, logits: Array, target: int) -> Floats:
        """q of bags with logits (n, K)."""
        share = MASSES[self.mass](log_probs(logits), target) ** self.power
        return np.asarray(self.floor + (1 - self.floor) * share, dtype=np.float64)


def _probability(log_probs: Floats, target: int) -> Floats:
    return np.asarray(np.exp(log_probs[:, target]), dtype=np.float64)


def _entropy(log_probs: Floats, target: int) -> Floats:
    entropy = -(np.exp(log_probs) * np.maximum(log_probs, np.finfo(np.float64).min)).sum(1)
    return np.asarray(np.clip(entropy / np.log(max(2, log_probs.shape[1])), 0, 1), dtype=np.float64)


def _margin(log_probs: Floats, target: int) -> Floats:
    best = np.sort(np.exp(log_probs), axis=1)
    return np.asarray(1 - (best[:, -1] - best[:, -2]), dtype=np.float64)


def _least_confidence(log_probs: Floats, target: int) -> Floats:
    classes = log_probs.shape[1]
    return np.asarray((1 - np.exp(log_probs.max(1))) * classes / max(1, classes - 1), dtype=np.float64)


MASSES: dict[str, Callable[[Floats, int], Floats]] = {
    "probability": _probability, "entropy": _entropy, "margin": _margin, "least_confidence": _least_confidence,
}  # fmt: skip
"""What a bag's mass goes by, of its log-probabilities (n, K): that of the positive class, or how uncertain they are,
as a share of the most uncertain there is.
"""


def inclusion(mass: Floats, threshold: float) -> Floats:
    """π = 1 - exp(-q T) of bags with mass q (n,), given the smallest e left out, T."""
    return np.asarray(-np.expm1(-mass * threshold), dtype=np.float64)


def _exponentials(round: Round, index: Index) -> Floats:
    """-ln u of every bag, (n,), above 0."""
    uniform = uniform_keys(stream_key(round.seed, "gumbel", round.epoch), index)
    return np.maximum(-np.log(uniform), 2.0**-54)
