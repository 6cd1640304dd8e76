"""Smallest probability of the predicted class (Table 1 of Shah et al.; Lewis and Gale 1994)."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.uncertainty import uncertainty


class LeastConfidence(Strategy):
    """The largest 1 - max p."""

    elementwise = True

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """1 - max p, as the sum of the others; with two classes -|z_1 - z_0|, the same ranking."""
        from scipy.special import logsumexp  # imported here: as in `uncertainty`

        return uncertainty(embedded.logits, lambda logs: np.exp(logsumexp(np.sort(logs, axis=1)[:, :-1], axis=1)))
