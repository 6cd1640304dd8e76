"""The interface of the loops over all points of a shard, and the rounding errors that they may make.

Everything a backend computes is float32 and only ever a bound or a filter, so backends may round differently
without changing a pick. Axes: n points.
"""

from collections.abc import Callable
from typing import Protocol

from negsift.common.arrays import Floats, Index
from negsift.service.kmeanspp.messages import TimeWindow
from negsift.service.kmeanspp.points import Factor, Points, Steps

NEAR = 16.0
"""A bound of at most `NEAR · slack · |u|²` may be mostly rounding error: bounds exceed D² by a few slacks."""
ROUNDED_UP = 1.0 + 2.0**-22
"""A number times this is no less than the number once it is rounded to float32."""


class PointBackend(Protocol):
    """The points of a shard, wherever their memory is, with an upper bound of each one's D², at first infinite.

    D² is the squared distance to the nearest centre; everything is in squared steps.
    """

    squares: Steps
    """|u|² of every point, (n,), with a relative error of at most `slack`."""

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

    def arriving(self, radius: float | None, window: TimeWindow) -> Index:
        """Rows whose first arrival may be in the window, and hardly more.

        Rates are the bounds or, with a radius, (|u| + radius)².
        """


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
