"""Keyed randomness: pure functions of seed, role, epoch and index."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from negsift.common.rng import generator, stream_key, uniform_keys

MASK = 2**64 - 1


def splitmix64(key: int, index: int) -> float:
    """Steele, Lea and Flood's finaliser in whole numbers, its top 53 bits in (0, 1]."""
    bits = (key + index * 0x9E3779B97F4A7C15) & MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
    bits ^= bits >> 31
    return ((bits >> 11) + 1) / 2**53


@given(key=st.integers(0, MASK), index=st.lists(st.integers(0, 2**63 - 1), max_size=5))
def test_uniform_keys_are_splitmix64s(key: int, index: list[int]) -> None:
    found = uniform_keys(key, np.array(index, dtype=np.int64))
    assert found.tolist() == [splitmix64(key, each) for each in index]


@given(key=st.integers(0, MASK), first=st.integers(0, 2**62))
def test_uniform_keys_lie_above_zero_and_up_to_one(key: int, first: int) -> None:
    found = uniform_keys(key, np.arange(first, first + 100))
    assert ((found > 0.0) & (found <= 1.0)).all()


@pytest.mark.parametrize("key", [0, 1, stream_key(0, "random"), stream_key(0, "random", 1), MASK])
def test_uniform_keys_are_uniform(key: int) -> None:
    assert kstest(uniform_keys(key, np.arange(20_000)), "uniform").pvalue > 0.001


def test_uniform_keys_of_neighbouring_epochs_are_not_related() -> None:
    one, other = (uniform_keys(stream_key(0, "random", epoch), np.arange(20_000)) for epoch in (0, 1))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
    assert not np.isin(one, other).any()


def test_uniform_keys_do_not_depend_on_their_company() -> None:
    index = np.arange(50)
    alone = [float(uniform_keys(7, index[at : at + 1])[0]) for at in index]
    assert uniform_keys(7, index).tolist() == alone
    assert uniform_keys(7, index[::-1]).tolist() == alone[::-1]


@pytest.mark.parametrize(
    "other", [(1, "bags", 0), (0, "badge", 0), (0, "bags", 1), (-1, "bags", 0), (2**70, "bags", 0)]
)
def test_stream_keys_differ_by_seed_role_and_epoch(other: tuple[int, str, int]) -> None:
    assert stream_key(*other) != stream_key(0, "bags", 0)


def test_stream_key_fits_into_64_bits() -> None:
    assert all(0 <= stream_key(seed, "bags") <= MASK for seed in range(200))


def test_stream_key_is_the_same_in_every_process() -> None:
    assert stream_key(0, "random", 3) == int.from_bytes(bytes.fromhex("ce2b176abfd95f99"), "little")


def test_a_generator_starts_from_the_beginning_each_time() -> None:
    one, again, other = (generator(seed, "bags").integers(0, 2**60, 5).tolist() for seed in (3, 3, 4))
    assert one == again
    assert one != other
