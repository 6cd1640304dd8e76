"""The arrival times of the race: pure functions of (key, position, count), the same bits on any machine.

Point i arrives at the times of a Poisson process of rate w_i: (E_i0 + … + E_ij) / w_i with E standard
exponentials. Numbers are hashed, never drawn in turn, so a time doesn't depend on who computes it.
"""

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.common.rng import stream_key, uniform_keys

_TURN = 0xC2B2AE3D27D4EB4F

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_SERIES = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
)  # fmt: skip


def race_key(seed: int, epoch: int, checkpoint: int) -> int:
    """The key of all numbers between one checkpoint and the next."""
    return stream_key(seed, f"badge-{checkpoint}", epoch)


def uniforms(key: int, index: Index, turn: Index) -> Floats:
    """The `turn`-th number in (0, 1] of each position; arrival j uses turns 2j (its time) and 2j + 1 (its mark)."""
    with np.errstate(over="ignore"):
        shift = turn.astype(np.uint64) * np.uint64(_TURN)
        return uniform_keys(key, index, shift)


def exponentials(key: int, index: Index, arrival: Index) -> Floats:
    """E of each position's `arrival`-th arrival: -ln(1 - u + 2^-53), at least 0."""
    return -logarithm(1.0 - uniforms(key, index, 2 * arrival) + 2.0**-53)


def marks(key: int, index: Index, arrival: Index) -> Floats:
    """V in (0, 1] of each arrival, by which it is kept or thinned out."""
    return uniforms(key, index, 2 * arrival + 1)


def logarithm(x: Floats) -> Floats:
    """ln x for positive float64, by additions, multiplications and divisions alone.

    The libraries' logarithms differ in the last bit; this one (fdlibm's reduction and minimax
    series, e_log.c, error below 1 ulp) is the same wherever IEEE 754 holds.
    """
    fraction, exponent = np.frexp(x)
    low = fraction < np.sqrt(0.5)
    fraction, power = np.where(low, 2.0 * fraction, fraction), exponent - low.astype(exponent.dtype)
    f = fraction - 1.0
    s = f / (2.0 + f)
    z = s * s
    series = z * _SERIES[6]
    for factor in _SERIES[5::-1]:
        series = z * (factor + series)
    half = 0.5 * f * f
    found: Floats = power * _LN2_HIGH - ((half - (s * (half + series) + power * _LN2_LOW)) - f)
    return found
