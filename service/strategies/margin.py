"""Smallest margin between the two likeliest classes (eq. 2 of Shah et al.)."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.uncertainty import binary_uncertainty, log_probs


class Margin(Strategy):
    """The smallest difference between the two likeliest classes."""

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """-(p_first - p_second); with two classes -|z_1 - z_0|, the same ranking."""
        binary = binary_uncertainty(embedded.logits)
        if binary is not None:
            return binary
        ordered = np.sort(np.exp(log_probs(embedded.logits)), axis=1)
        return np.asarray(ordered[:, -2] - ordered[:, -1], dtype=np.float64)
