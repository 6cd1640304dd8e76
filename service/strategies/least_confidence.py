"""Smallest probability of the predicted class (Table 1 of Shah et al.; Lewis and Gale 1994)."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.uncertainty import binary_uncertainty, log_probs


class LeastConfidence(Strategy):
    """The largest 1 - max p."""

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """1 - max p, as the sum of the others; with two classes -|z_1 - z_0|, the same ranking."""
        binary = binary_uncertainty(embedded.logits)
        if binary is not None:
            return binary
        from scipy.special import logsumexp  # imported here: as in `uncertainty`

        ordered = np.sort(log_probs(embedded.logits), axis=1)
        return np.asarray(np.exp(logsumexp(ordered[:, :-1], axis=1)), dtype=np.float64)
