"""Uniform without replacement, fresh every epoch (section 4, item 1 of Shah et al.)."""

from negsift.common.arrays import Floats
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.types import Embedded, Need, Round
from negsift.service.strategies.base import Prepared, Strategy


class Random(Strategy):
    """k at random, the baseline: the largest of one hashed number a bag."""

    need = Need.NOTHING
    elementwise = True

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """A hash of (seed, epoch, index) in (0, 1]."""
        return uniform_keys(stream_key(round.seed, "random", round.epoch), embedded.index)
