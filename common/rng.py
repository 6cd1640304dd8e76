"""Random numbers as pure functions of (seed, role, epoch), and of a bag's index. A generator is made where it is used
and not kept, so that nothing depends on the number of shards, on the order of arrival, or on interruptions.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_A = np.uint64(0xBF58476D1CE4E5B9)
MIX_B = np.uint64(0x94D049BB133111EB)


def stream_key(seed: int, role: str, epoch: int = 0) -> int:
    """A 64-bit key for one use of randomness; other roles and epochs have unrelated keys."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{role}/{epoch}".encode(), digest_size=8).digest(), "little")


def generator(seed: int, role: str, epoch: int = 0) -> np.random.Generator:
    """A new numpy generator (Philox) for one use."""
    return np.random.Generator(np.random.Philox(key=stream_key(seed, role, epoch)))


def uniform_keys(key: int, index: NDArray[np.int64], shift: NDArray[np.uint64] | None = None) -> NDArray[np.float64]:
    """One number in (0, 1] for each index: a hash of (key, index), or of (key + shift, index); the shape of `index`.
    The hash is splitmix64's finaliser (Steele, Lea and Flood, OOPSLA 2014). The top 53 bits are used, which float64
    holds exactly.
    """
    # Unsigned products wrap around on purpose.
    with np.errstate(over="ignore"):
        bits = index.astype(np.uint64) * GOLDEN + np.uint64(key)
        bits = bits if shift is None else bits + shift
        bits = (bits ^ (bits >> np.uint64(30))) * MIX_A
        bits = (bits ^ (bits >> np.uint64(27))) * MIX_B
        bits ^= bits >> np.uint64(31)
    return ((bits >> np.uint64(11)).astype(np.float64) + 1.0) * 2.0**-53
