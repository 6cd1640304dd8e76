"""Smallest margin between the two likeliest classes (eq. 2 of Shah et al.)."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.uncertainty import uncertainty


class Margin(Strategy):
    """The smallest difference between the two likeliest classes."""

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """-(p_first - p_second); with two classes -|z_1 - z_0|, the same ranking."""
        return uncertainty(embedded.logits, _negative_margin)


def _negative_margin(log_probs: Floats) -> Floats:
    ordered = np.sort(np.exp(log_probs), axis=1)
    return np.asarray(ordered[:, -2] - ordered[:, -1], dtype=np.float64)
