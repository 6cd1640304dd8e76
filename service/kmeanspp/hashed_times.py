"""Arrival times and marks as pure functions of (key, position, arrival), with the same bits on any machine.

Arrival j of a point with rate w happens at time (E_0 + … + E_j) / w, where the E are standard exponentials:
a Poisson process of rate w. Every number is a hash, so a time doesn't depend on who computes it, or when.
"""

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.rng import stream_key, uniform_keys

_DRAW = 0xC2B2AE3D27D4EB4F  # an odd constant (xxHash's second prime), which keeps the draws of a position apart

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_SERIES = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
)  # fmt: skip


def phase_key(seed: int, epoch: int, phase: int) -> int:
    """The key of all numbers of a phase, in which rates are constant; phases count from 1."""
    return stream_key(seed, f"badge-{phase}", epoch)


def uniforms(key: int, index: Index, draw: Index) -> Floats:
    """The `draw`-th number in (0, 1] of each position; arrival j takes draws 2j (its time) and 2j + 1 (its mark)."""
    with np.errstate(over="ignore"):
        return uniform_keys(key, index, draw.astype(np.uint64) * np.uint64(_DRAW))


def exponentials(key: int, index: Index, arrival: Index) -> Floats:
    """The wait for each position's `arrival`-th arrival at rate 1: -ln(1 - u + 2^-53), at least 0."""
    return -logarithm(1.0 - uniforms(key, index, 2 * arrival) + 2.0**-53)


def marks(key: int, index: Index, arrival: Index) -> Floats:
    """The mark in (0, 1] of each arrival, which decides whether thinning keeps it."""
    return uniforms(key, index, 2 * arrival + 1)


def logarithm(x: Floats) -> Floats:
    """ln x of positive float64, by additions, multiplications and divisions alone.

    Libraries' logarithms differ in the last bit. This one is fdlibm's (reduction and minimax series of
    e_log.c, Sun 1993; error below 1 ulp) and has the same bits wherever IEEE 754 holds.
    """
    fraction, exponent = np.frexp(x)
    below = fraction < np.sqrt(0.5)
    fraction, power = np.where(below, 2.0 * fraction, fraction), exponent - below.astype(exponent.dtype)
    f = fraction - 1.0
    s = f / (2.0 + f)
    z = s * s
    series = z * _SERIES[6]
    for factor in _SERIES[5::-1]:
        series = z * (factor + series)
    half = 0.5 * f * f
    log_x: Floats = power * _LN2_HIGH - ((half - (s * (half + series) + power * _LN2_LOW)) - f)
    return log_x
