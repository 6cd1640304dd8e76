"""Random without replacement over rounds, RS2 of Okanovic et al. (arXiv 2305.18424): every bag gets its turn."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.permutation import Permutation
from negsift.common.rng import stream_key
from negsift.common.types import Embedded, Need, Round
from negsift.service.strategies.base import Prepared, Strategy


class Walk(Strategy):
    """The next k of a random order of the pool; once all had their turn, of another order.

    ⌈N/k⌉ rounds go through the pool of N bags; the last of them is filled up with the first bags of the same order.
    """

    need = Need.NOTHING
    elementwise = True

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """How soon a bag's turn comes: N for the next one down to 1, (n,)."""
        bags = round.pool.bags
        cycle, turn = divmod(round.turn, -(-bags // max(1, round.k)))
        rank = Permutation(stream_key(round.seed, "walk", cycle), bags).rank(embedded.index)
        return (bags - (rank - turn * round.k) % bags).astype(np.float64)
