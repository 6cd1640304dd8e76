"""The values that cross between rooms: merged by index, checked at birth."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.account import RecoveryCounts
from negsift.common.instance_features import InstanceFeatures
from negsift.common.types import Candidates, Embedded, Gradient, Selection
from tests.unit.toys import embedded


def some(count: int, gradient: bool) -> Embedded:
    random = np.random.default_rng(count)
    plain = embedded(random.normal(size=(count, 2)), random.normal(size=(count, 3)))
    factors = Gradient(random.normal(size=(count, 1)), random.normal(size=(count, 3))) if gradient else None
    return Embedded(plain.index, plain.logits, plain.features, factors)


def arrays(value: Embedded) -> list[list[object]]:
    held = [value.index, value.logits, value.features]
    held += [value.gradient.left, value.gradient.right] if value.gradient else []
    return [array.tolist() for array in held]


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_arrival_order_leaves_no_trace(order: tuple[int, ...], gradient: bool) -> None:
    whole = some(7, gradient)
    parts = [whole.take(np.array(rows)) for rows in ([0, 4], [5, 1, 2], [6, 3])]
    assert arrays(Embedded.merge([parts[at] for at in order])) == arrays(whole)


def test_size_counts_every_array() -> None:
    assert some(7, True).size_bytes == 7 * (8 + 2 * 4 + 3 * 4 + 8 + 3 * 8)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 9))
def test_gradient_norm_is_that_of_the_product(left: int, right: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    gradient = Gradient(random.normal(size=(4, left)), random.normal(size=(4, right)).astype(np.float32))
    products = [np.outer(a, b) for a, b in zip(gradient.left, gradient.right.astype(np.float64), strict=True)]
    np.testing.assert_allclose(gradient.norm, [np.linalg.norm(product) for product in products], rtol=1e-12)


def test_instance_features_are_found_by_row() -> None:
    parts = [InstanceFeatures(np.array(rows), np.array(rows)[:, None] * 2.0) for rows in ([5, 9], [0, 2])]
    empty = InstanceFeatures(np.zeros(0, dtype=np.int64), np.zeros((0, 0)))
    merged = InstanceFeatures.merge([parts[0], empty, parts[1]])
    assert merged.row.tolist() == [0, 2, 5, 9]
    assert merged.at(np.array([9, 0, 9, 2]))[:, 0].tolist() == [18.0, 0.0, 18.0, 4.0]


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_positions_are_int64_or_refused(dtype: type) -> None:
    index, score = np.zeros(1, dtype=dtype), np.zeros(1)
    for make in (lambda: Candidates(index, score, 1), lambda: Selection(index, score, score, 0)):
        with pytest.raises(TypeError, match="int64 index"):
            make()


def test_selection_of_a_bag_twice_is_refused() -> None:
    with pytest.raises(TypeError, match="distinct positions"):
        Selection(np.array([3, 3]), np.zeros(2), np.ones(2), 0)


@pytest.mark.parametrize("rows", [(2, 3, 3), (3, 2, 3), (3, 3, 2)])
def test_embedded_arrays_of_different_length_are_refused(rows: tuple[int, int, int]) -> None:
    index, logits, features = rows
    with pytest.raises(TypeError, match="one row a bag"):
        Embedded(np.arange(index), np.zeros((logits, 2)), np.zeros((features, 2)))


def test_recoveries_add_up() -> None:
    assert RecoveryCounts(4, 1, 1, 0) + RecoveryCounts(1, 2, 0, 2) == RecoveryCounts(5, 3, 1, 2)
    assert not RecoveryCounts().any
    assert RecoveryCounts(hung=1).any
