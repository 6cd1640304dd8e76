"""Smallest margin between the two likeliest classes (eq. 2 of Shah et al.)."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.uncertainty import uncertainty


class Margin(Strategy):
    """The smallest difference between the two likeliest classes."""

    elementwise = True

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """1 - (p_1 - p_2), largest p first, as 2 p_2 + p_3 + …; with two classes -|z_1 - z_0|, the same ranking.

        The sum keeps apart margins that are all 1 in float64 once p_1 is.
        """
        return uncertainty(embedded.logits, _without_margin)


def _without_margin(log_probs: Floats) -> Floats:
    probs = np.sort(np.exp(log_probs), axis=1)[:, -2::-1]
    return np.asarray(probs[:, 0] + probs.sum(axis=1), dtype=np.float64)
