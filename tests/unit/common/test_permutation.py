"""Keyed permutations."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.permutation import Permutation

KEYS = st.integers(0, 2**64 - 1)


@given(key=KEYS, size=st.integers(1, 700))
def test_every_rank_is_taken_once(key: int, size: int) -> None:
    assert sorted(Permutation(key, size).rank(np.arange(size))) == list(range(size))


@given(key=KEYS, size=st.integers(1, 2**40), data=st.data())
def test_a_rank_does_not_depend_on_what_else_is_asked(key: int, size: int, data: st.DataObject) -> None:
    index = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=5)), dtype=np.int64)
    permutation = Permutation(key, size)
    assert permutation.rank(index).tolist() == [int(permutation.rank(np.array([one]))[0]) for one in index]
    assert ((permutation.rank(index) >= 0) & (permutation.rank(index) < size)).all()


def test_the_index_given_is_left_as_it_is() -> None:
    index = np.arange(5)
    Permutation(1, 5).rank(index)
    assert index.tolist() == [0, 1, 2, 3, 4]


def test_all_orders_of_four_are_about_as_frequent() -> None:
    keys = np.random.default_rng(0).integers(0, 2**63, 4800)
    _, counts = np.unique([Permutation(int(key), 4).rank(np.arange(4)) for key in keys], axis=0, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 200) ** 2 / 200).sum() < 49.7  # chi² with 23 degrees of freedom: p = 0.001
