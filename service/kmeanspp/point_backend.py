"""The interface of the loops over all points of a shard, and the rounding errors that they may make.

Everything a backend computes is float32 and only ever a bound or a filter, so backends may round differently
without changing a pick. Axes: n points.
"""

from collections.abc import Callable
from typing import Protocol

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.messages import TimeWindow
from negsift.service.kmeanspp.points import Factor, Points, Steps
from negsift.service.kmeanspp.sketch import Directions

NEAR = 16.0
"""A bound of at most `NEAR · slack · |u|²` may be mostly rounding error: bounds exceed D² by a few slacks."""
SKETCH_SLACK, RESIDUAL_SLACK = 6.0, 8.0
"""Slacks of |u|² + |c|² by which a bound from float32 sketches is raised, and of |u|² by which the squared distance
from the directions' span is: each coordinate is wrong by a slack of |u|, and four directions at most are used."""
NEAR_SKETCH = 3.0
"""A bound from sketches of at most `NEAR_SKETCH · SKETCH_SLACK · slack · |u|²` may be mostly rounding error."""
ROUNDED_UP = 1.0 + 2.0**-22
"""A number times this is no less than the number once it is rounded to float32."""


class PointBackend(Protocol):
    """The points of a shard, wherever their memory is, with an upper bound of each one's D², at first infinite.

    D² is the squared distance to the nearest centre; everything is in squared steps.
    """

    @property
    def squares(self) -> Steps:
        """|u|² of every point, (n,), with a relative error of at most `slack`."""

    def look_along(self, directions: Directions) -> None:
        """Sketch all points along these directions."""

    def lower_by_sketch(self, sketch_mr: Floats, squares_m: Floats) -> Index:
        """Lower the bounds to what sketches say of D² to centres of these sketches and norms, or a few slacks above.

        Gives the rows whose bound is above 0 and at most `NEAR_SKETCH · SKETCH_SLACK · slack · |u|²`.
        """

    def lower_bounds(self, centres: Points) -> Index:
        """Lower the bounds to D² to these centres or, by rounding, a few slacks of |u|² + |c|² above it.

        Gives the rows whose bound is above 0 and at most `NEAR · slack · |u|²`.
        """

    def bounds_of(self, rows: Index) -> Floats:
        """The bounds of `rows`."""

    def set_bounds(self, rows: Index, gap_n: Floats) -> None:
        """Set the bounds of `rows` to these exact D², rounded up."""

    def reset(self) -> None:
        """Set all bounds to infinity."""

    def sum_bounds(self) -> float:
        """The sum of all bounds."""

    def largest(self, count: int) -> tuple[Index, float]:
        """The `count` rows of the largest bounds and the largest bound of the others; all rows and 0 if n ≤ `count`."""

    def small_hashes(self, key: int, share: float) -> Index:
        """The rows whose `rng.uniform_keys` under `key` is at most `share` (below 1), and perhaps a few more."""

    def arriving(self, window: TimeWindow) -> Index:
        """Rows whose first arrival at the rate of their bounds is in the window, and hardly more."""


BackendFactory = Callable[[Points], PointBackend]


def slack(factors: tuple[Factor, ...]) -> float:
    """ε with |fl(u·c) - u·c| ≤ ε |u| |c| for float32 products in any order of summation (Higham 2002, §3.1)."""
    return float(sum(factor.shape[1] for factor in factors) + 8) * 2.0**-24


def earliest(uniform_n: Floats, rate_n: Floats) -> Floats:
    """A lower bound of the first arrival time E/w, E = -ln(1 - u + 2^-53): E ≥ u - 2^-53."""
    return (uniform_n - 2.0**-53) / rate_n


def row_runs(count: int, step: int) -> list[slice]:
    """The rows from 0 to `count` in runs of `step`."""
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]
