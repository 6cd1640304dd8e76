"""KL divergence between a bag's features and the positives' (Table 1 of Shah et al., "KL.embedding")."""

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Need, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.kl_prob import divergence, log_mean
from negsift.service.strategies.uncertainty import log_probs


class KlEmbedding(Strategy):
    """Features nearest to the positives' mean, as distributions (softmax over dimensions), by KL divergence."""

    need = Need.FEATURES
    learns_from_positives = True

    def prepare(self, positives: Embedded, negatives: Embedded) -> Prepared:
        """log q̄+, q = softmax over the D dimensions of a positive bag's features, (D,)."""
        return {"log_mean": log_mean(log_probs(positives.features))}

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """-KL(q_b ‖ q̄+)."""
        return -divergence(log_probs(embedded.features), prepared["log_mean"])
