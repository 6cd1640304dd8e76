"""Largest entropy of the predicted distribution (eq. 3 of Shah et al.)."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.uncertainty import uncertainty


class Entropy(Strategy):
    """The largest -Σ p log p."""

    elementwise = True

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """-Σ p log p; with two classes -|z_1 - z_0|, the same ranking."""
        return uncertainty(embedded.logits, lambda logs: -(np.exp(logs) * logs).sum(axis=1))
