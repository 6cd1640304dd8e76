"""Points in whole steps: exact products, and what snapping does to numbers of any size."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negsift.service.kmeanspp.points import Points, grid_exponent, inner_products, snap, squared_gaps


def snapped(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Float32 values in whole steps, and the power of two that is one."""
    exponent = grid_exponent(float(np.abs(values).max(initial=0.0)), values.shape[1])
    return snap(values.astype(np.float32), exponent), exponent


@settings(max_examples=15)
@given(columns=st.sampled_from([1, 3, 100, 8_192, 20_000]), scale=st.integers(-120, 120), seed=st.integers(0, 99))
def test_products_of_snapped_rows_are_exact_in_any_order(columns: int, scale: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    steps, _ = snapped(np.ldexp(random.normal(size=(2, columns)).clip(-1.0, 1.0), scale))
    exact = sum(int(a) * int(b) for a, b in zip(*steps, strict=True))
    one, other = steps[:, random.permutation(columns)].astype(np.float64)
    plain = steps.astype(np.float64)
    assert exact == float(plain[0] @ plain[1]) == float(one @ other) == sum((one * other).tolist())


@pytest.mark.parametrize("columns", [1, 2, 5_000, 8_192])
def test_largest_possible_norm_is_exact(columns: int) -> None:
    steps, _ = snapped(np.full((1, columns), np.nextafter(np.float32(1.0), np.float32(0.0))))
    square = float(steps[0].astype(np.float64) @ steps[0].astype(np.float64))
    assert square == columns * int(steps[0, 0]) ** 2 <= 2**53


@pytest.mark.parametrize("largest", [1.0, 3e-30, 1e30, 3e38, 1e-44, 2.0**-130])
def test_snapping_moves_by_half_a_step_of_2_to_the_minus_20_at_most(largest: float) -> None:
    values = (largest * np.linspace(-1.0, 1.0, 7)[:, None]).astype(np.float32)
    steps, exponent = snapped(values)
    assert (steps == np.rint(steps)).all()
    assert np.abs(steps).max() <= 2**20
    moved = np.abs(steps.astype(np.float64) * math.ldexp(1.0, exponent) - values)
    assert (moved <= largest * 2.0**-20).all()


@pytest.mark.parametrize("values", [np.float16([[6e-8, 1e-7], [-6e-8, 0.0]]), np.float32([[1e-45, 3e-45]])])
def test_denormal_numbers_are_snapped_like_others(values: np.ndarray) -> None:
    steps, exponent = snapped(values)
    np.testing.assert_array_equal(steps.astype(np.float64) * math.ldexp(1.0, exponent), values.astype(np.float64))


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (3, 0)])
def test_zeros_and_nothing_snap_to_themselves(shape: tuple[int, int]) -> None:
    steps, exponent = snapped(np.zeros(shape))
    assert (steps.shape, exponent) == (shape, 0)
    assert not steps.any()


def test_gaps_of_factored_points_are_those_of_their_products() -> None:
    random = np.random.default_rng(0)
    left, right = random.integers(-9, 10, (12, 3)), random.integers(-9, 10, (12, 4))
    points = Points(np.arange(12), (left.astype(np.float32), right.astype(np.float32)))
    products = (left[:, :, None] * right[:, None, :]).reshape(12, -1)
    naive = ((products[:, None] - products[None]) ** 2).sum(2)
    np.testing.assert_array_equal(squared_gaps(points, points), naive)
    np.testing.assert_array_equal(inner_products(points.factors64, points.factors64), products @ products.T)


def test_points_merge_in_the_order_of_their_positions() -> None:
    first, second = (Points(np.array(at), (np.float32(at)[:, None],)) for at in ([7, 1], [4, 3]))
    merged = Points.merge([first, second])
    assert merged.index.tolist() == [1, 3, 4, 7] == merged.factors[0][:, 0].tolist()
