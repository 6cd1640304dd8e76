"""Shared by the three uncertainty strategies, and by those that compare distributions."""

from collections.abc import Callable

import numpy as np

from negsift.common.arrays import Array, Floats


def uncertainty(logits: Array, of_log_probs: Callable[[Floats], Floats]) -> Floats:
    """`of_log_probs` of log softmax (n, K), a measure of uncertainty (n,); with two classes -|z_1 - z_0|.

    Margin, entropy and least confidence are all monotone in |p - 1/2| then, that is in |z_1 - z_0|, and so rank alike.
    The difference of the logits keeps apart what float32 probabilities would tie.
    """
    if logits.shape[1] != 2:
        return np.asarray(of_log_probs(log_probs(logits)), dtype=np.float64)
    wide = logits.astype(np.float64)
    return np.asarray(-np.abs(wide[:, 1] - wide[:, 0]), dtype=np.float64)


def log_probs(logits: Array) -> Floats:
    """log softmax in float64, (n, K)."""
    from scipy.special import log_softmax  # imported here: `negsift list` imports all strategies, not scipy

    return np.asarray(log_softmax(logits.astype(np.float64), axis=1), dtype=np.float64)


def log_odds(logits: Array, target: int) -> Floats:
    """The log-odds of class `target` by logits (n, K), (n,)."""
    logs = logits.astype(np.float64)
    others = np.delete(logs, target, axis=1)
    return np.asarray(logs[:, target] - np.logaddexp.reduce(others, axis=1), dtype=np.float64)
