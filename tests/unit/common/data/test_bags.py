"""Bags from instances: the counts of section 5.1.1 of the paper, and the place of each instance."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import hypergeom

from negsift.common.data.bags import BagPlan, plan_bags, positives_per_bag
from negsift.common.errors import BadData, BadInput

DENSITIES = ["uniform", "natural", "fixed:1", "fixed:2", "range:1-2", "range:2-2"]


def flags(total: int, positives: int) -> NDArray[np.bool_]:
    return np.arange(total) < positives


def members(plan: BagPlan) -> list[list[int]]:
    return [plan.rows[low:high].tolist() for low, high in zip(plan.offsets, plan.offsets[1:], strict=False)]


@pytest.mark.parametrize(
    ("total", "density", "positive_bags", "negative_bags"),
    [
        (50_000, "uniform", 1_666, 8_334), (10_000, "uniform", 332, 1_668),
        (50_000, "fixed:1", 5_000, 5_000), (50_000, "fixed:2", 2_500, 7_500), (50_000, "fixed:3", 1_667, 8_333),
        (50_000, "fixed:4", 1_250, 8_750), (50_000, "fixed:5", 1_000, 9_000), (50_000, "range:1-5", 1_666, 8_334),
    ],
)  # fmt: skip
def test_counts_are_those_of_cifar10(total: int, density: str, positive_bags: int, negative_bags: int) -> None:
    plan = plan_bags(flags(total, total // 10), 5, density, seed=0)
    assert np.bincount(plan.label).tolist() == [negative_bags, positive_bags]


@pytest.mark.parametrize(("total", "histogram"), [(50_000, [333, 333, 333, 333, 334]), (10_000, [66, 66, 66, 66, 68])])
def test_uniform_spreads_the_number_of_positives_evenly(total: int, histogram: list[int]) -> None:
    plan = plan_bags(flags(total, total // 10), 5, "uniform", seed=0)
    assert np.bincount(plan.positives)[1:].tolist() == histogram


def test_natural_positives_are_hypergeometric() -> None:
    plan = plan_bags(flags(50_000, 5_000), 5, "natural", seed=0)
    expected = 10_000 * hypergeom(50_000, 5_000, 5).pmf(np.arange(6))
    found = np.bincount(plan.positives, minlength=6)
    assert len(plan.label) == 10_000
    assert (np.abs(found - expected) < 5 * np.sqrt(expected) + 1).all()


@given(total=st.integers(1, 500), bounds=st.tuples(st.integers(1, 6), st.integers(1, 6)).map(sorted))
def test_positives_per_bag_are_even_but_for_the_remainder(total: int, bounds: list[int]) -> None:
    low, high = bounds
    counts = positives_per_bag(total, 6, f"range:{low}-{high}").tolist()
    each, rest = total // sum(range(low, high + 1)), total % sum(range(low, high + 1))
    assert sum(counts) == total
    assert sorted(counts[: each * (high - low + 1)]) == sorted([*range(low, high + 1)] * each)
    assert len(counts) == each * (high - low + 1) + -(-rest // high)


@given(
    sizes=st.tuples(st.integers(1, 30), st.integers(1, 150)),
    size=st.integers(2, 6),
    density=st.sampled_from(DENSITIES),
    seed=st.integers(-5, 5),
)
def test_every_instance_is_in_exactly_one_bag(sizes: tuple[int, int], size: int, density: str, seed: int) -> None:
    ones, zeros = sizes
    assume(density == "natural" or size * len(positives_per_bag(ones, size, density)) - ones <= zeros)
    bags = members(plan_bags(flags(ones + zeros, ones), size, density, seed))
    assert sorted(row for bag in bags for row in bag) == list(range(ones + zeros))
    assert sorted(len(bag) for bag in bags)[1:] == [size] * (len(bags) - 1)


@pytest.mark.parametrize("density", DENSITIES)
def test_a_bag_is_positive_if_any_instance_is(density: str) -> None:
    positive = np.random.default_rng(0).random(400) < 0.1
    plan = plan_bags(positive, 5, density, seed=3)
    assert plan.label.tolist() == [int(any(positive[row] for row in bag)) for bag in members(plan)]
    assert plan.positives.tolist() == [sum(bool(positive[row]) for row in bag) for bag in members(plan)]


@pytest.mark.parametrize("density", DENSITIES)
def test_bags_are_a_function_of_the_seed(density: str) -> None:
    one, again, other = (plan_bags(flags(300, 30), 5, density, seed) for seed in (1, 1, 2))
    assert members(one) == members(again)
    assert members(one) != members(other)


def test_positives_sit_anywhere_in_a_bag() -> None:
    plan = plan_bags(flags(500, 50), 5, "fixed:1", seed=0)
    places = {min(bag.index(row) for row in bag if row < 50) for bag in members(plan) if min(bag) < 50}
    assert places == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    "density", ["", "uniformly", "fixed", "fixed:0", "fixed:6", "range:3-2", "range:1-6", "fixed:-1"]
)
def test_unknown_density_is_bad_input_that_lists_the_forms(density: str) -> None:
    with pytest.raises(BadInput, match=r"found label density.*uniform, natural, fixed:m or range:a-b.*data\.density"):
        plan_bags(flags(100, 10), 5, density, seed=0)


def test_too_few_negatives_for_the_bags_is_bad_data() -> None:
    with pytest.raises(BadData, match="found 5 negative instances; expected at least 40 to fill"):
        plan_bags(flags(15, 10), 5, "fixed:1", seed=0)


@pytest.mark.parametrize(("positives", "kind"), [(0, "positive"), (20, "negative")])
def test_one_kind_of_instance_only_is_bad_data(positives: int, kind: str) -> None:
    with pytest.raises(BadData, match=rf"no {kind} instance.*data\.target"):
        plan_bags(flags(20, positives), 5, "uniform", seed=0)


@pytest.mark.parametrize("size", [0, -1])
def test_size_below_one_is_bad_input(size: int) -> None:
    with pytest.raises(BadInput, match=rf"found bag size {size}; expected at least 1"):
        plan_bags(flags(20, 5), size, "uniform", seed=0)
