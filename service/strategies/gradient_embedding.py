"""Largest gradient of the last layer (eqs. 4 and 5 of Shah et al.)."""

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Need, Round
from negsift.service.strategies.base import Prepared, Strategy


class GradientEmbedding(Strategy):
    """The largest L2 norm of the loss's gradient in the last layer's weights."""

    need = Need.GRADIENT

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """The norm of the gradient."""
        assert embedded.gradient is not None  # need says so
        return embedded.gradient.norm
