"""Shared by the three uncertainty strategies: with two classes they are one ranking.

Margin, entropy and least confidence are all monotone in |p - 1/2| then, that is in |z_1 - z_0|.
Ranking by the logit difference keeps apart what float32 probabilities would tie.
"""

import numpy as np

from negsift.common.arrays import Array, Floats


def binary_uncertainty(logits: Array) -> Floats | None:
    """-|z_1 - z_0| of every bag if there are two classes, else None."""
    if logits.shape[1] != 2:
        return None
    wide = logits.astype(np.float64)
    return np.asarray(-np.abs(wide[:, 1] - wide[:, 0]), dtype=np.float64)


def log_probs(logits: Array) -> Floats:
    """log softmax in float64, (n, K)."""
    from scipy.special import (
        log_softmax,
    )  # imported here: `negsift list` imports all strategies, and starts without scipy

    return np.asarray(log_softmax(logits.astype(np.float64), axis=1), dtype=np.float64)
