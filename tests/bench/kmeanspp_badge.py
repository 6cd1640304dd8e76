"""The seeding of BADGE (Ash et al., ICLR 2020, arXiv 1906.03671, algorithm 1), written anew in the three ways it is run.

Its authors' code (github.com/JordanAsh/badge) has had two: the published one measures whole gradients, one vector of
2d numbers a bag; that of 2023 measures factors, residuals and features (Zhang et al., arXiv 2306.09910, appendix D).
Either draws by a new scipy.stats.rv_discrete over all points each time. Axes: n points, d columns, r residuals.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import rv_discrete
from sklearn.metrics import pairwise_distances

from negsift.common.arrays import Floats
from negsift.service.kmeanspp.points import Steps

_RESIDUALS = np.sqrt(np.array([0.5, 0.5], dtype=np.float32))


def published(rows: Steps, count: int, seed: int) -> list[int]:
    """Whole gradients (n, 2d), distances by scikit-learn, their minimum and all sums by Python's loops."""
    whole = (rows[:, None, :] * (_RESIDUALS * np.float32([1, -1]))[:, None]).reshape(len(rows), -1)
    random = np.random.default_rng(seed)
    chosen = [int(np.argmax([np.linalg.norm(row) for row in whole]))]
    nearest, owner = np.full(len(whole), np.inf), [0] * len(whole)
    for centre in range(count - 1):
        distance = pairwise_distances(whole, whole[chosen[-1:]]).ravel().astype(np.float64)
        for row in range(len(whole)):
            if nearest[row] > distance[row]:
                nearest[row], owner[row] = distance[row], centre
        total = sum(nearest)  # theirs prints it, after every centre
        if total == 0.0:
            break
        chosen.append(_other(nearest**2 / sum(nearest**2), random, chosen))
    return chosen


def factored(rows: Steps, count: int, seed: int, add_up: Callable[[Floats], float]) -> list[int]:
    """Factors (n, r) and (n, d). Theirs adds up all weights by Python's `sum`, a third of its time; numpy's is kinder."""
    left, random = np.tile(_RESIDUALS, (len(rows), 1)), np.random.default_rng(seed)
    squares = np.einsum("nr,nr->n", left, left) * np.einsum("nd,nd->n", rows, rows)
    chosen, nearest = [int(squares.argmax())], np.full(len(rows), np.inf)
    for _ in range(count - 1):
        last = chosen[-1]
        gaps = squares + squares[last] - 2.0 * (left @ left[last]) * (rows @ rows[last])
        nearest = np.minimum(nearest, np.sqrt(np.maximum(gaps, 0.0)).astype(np.float64))
        nearest[chosen] = 0.0
        weight = nearest**2
        chosen.append(_other(weight / add_up(weight), random, chosen))
    return chosen


def _other(chances: Floats, random: np.random.Generator, chosen: list[int]) -> int:
    """One that wasn't chosen before."""
    draw = rv_discrete(values=(np.arange(len(chances)), chances))
    while (row := int(draw.rvs(random_state=random))) in chosen:
        continue
    return row
