"""No filtering: every negative, every epoch (the "Full Set" row of Table 1)."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Need, Round
from negsift.service.strategies.base import Prepared, Strategy


class Full(Strategy):
    """All negatives; k is the size of the pool."""

    need = Need.NOTHING
    elementwise = True

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """All alike."""
        return np.zeros(len(embedded.index))
