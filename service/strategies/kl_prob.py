"""KL divergence between a bag's prediction and the positives' (section 5.1.4 of Shah et al., "KL-prob")."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Need, Round
from negsift.service.strategies.base import Prepared, Strategy
from negsift.service.strategies.uncertainty import log_probs


class KlProb(Strategy):
    """Predictions nearest to the positives' mean prediction, by KL divergence."""

    need = Need.LOGITS
    learns_from_positives = True

    def prepare(self, positives: Embedded, negatives: Embedded) -> Prepared:
        """log p̄+, the logarithm of the mean prediction of the positive bags, (K,)."""
        return {"log_mean": log_mean(log_probs(positives.logits))}

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """-KL(p_b ‖ p̄+)."""
        return -divergence(log_probs(embedded.logits), prepared["log_mean"])


def log_mean(logs: Floats) -> Floats:
    """The logarithm of the mean of distributions given by their logarithms, (n, C) -> (C,)."""
    from scipy.special import logsumexp  # imported here: as in `uncertainty`

    return np.asarray(logsumexp(logs, axis=0) - np.log(len(logs)), dtype=np.float64)


def divergence(logs: Floats, log_other: Floats) -> Floats:
    """KL(p ‖ q) of every row p of `logs` from the one distribution q, (n,)."""
    return np.asarray((np.exp(logs) * (logs - log_other)).sum(axis=1), dtype=np.float64)
