"""Points of a pool in whole steps of a power-of-two grid, on which float64 products are exact.

With entries of at most 2^20 steps (fewer beyond 8,192 columns) every inner product is a whole number
of at most 2^53: no number of threads, order of summation, block size or library can change a bit.
Axes: n points, m centres.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Floats, Index

Steps = NDArray[np.float32]
Factor = NDArray[np.floating[Any]]
_EXACT_BITS = 53
_GRID_BITS = 20


@dataclass(frozen=True)
class Points:
    """Some points of the pool: their positions `index` (n,), and their factors, each (n, columns).

    A point is the tensor product of its factors; with a single one it is that row. Inner products are
    the products of the factors' inner products, so the tensor itself is never built.
    """

    index: Index
    factors: tuple[Factor, ...]

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """All parts as one, sorted by index."""
        index = np.concatenate([part.index for part in parts])
        order = np.argsort(index, kind="stable")
        factors = zip(*(part.factors for part in parts), strict=True)
        return cls(index[order], tuple(np.concatenate(columns)[order] for columns in factors))

    def take(self, rows: Index | slice) -> "Points":
        """Some of the points, by their row here."""
        taken = Points(self.index[rows], tuple(factor[rows] for factor in self.factors))
        return taken.knowing(self.squares[rows]) if "squares" in self.__dict__ else taken

    def knowing(self, squares: Floats) -> Self:
        """The same, with squared norms that need not be worked out again."""
        self.__dict__["squares"] = squares
        return self

    def append(self, other: "Points") -> "Points":
        """These, then the others."""
        factors = tuple(np.concatenate(pair) for pair in zip(self.factors, other.factors, strict=True))
        return Points(np.concatenate([self.index, other.index]), factors)

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        """What was worked out from them stays here."""
        return {"index": self.index, "factors": self.factors}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size_bytes(self) -> int:
        """What they take in memory and on the wire."""
        return self.index.nbytes + sum(factor.nbytes for factor in self.factors)

    @cached_property
    def exact(self) -> tuple[Floats, ...]:
        """The factors as float64."""
        return tuple(factor.astype(np.float64, copy=False) for factor in self.factors)

    @property
    def narrow(self) -> "Points":
        """The same with float32 factors, which hold all their bits."""
        return Points(self.index, tuple(factor.astype(np.float32, copy=False) for factor in self.factors))

    @cached_property
    def squares(self) -> Floats:
        """Squared norms in squared steps, (n,)."""
        return squared_norms(self.exact)


def squared_norms(factors: Sequence[Floats]) -> Floats:
    """|u|² of points given by float64 factors, (n,)."""
    found = np.ones(len(factors[0]))
    for factor in factors:
        found *= np.einsum("nc,nc->n", factor, factor)
    return found


def inner_products(one: Sequence[Floats], other: Sequence[Floats]) -> Floats:
    """u·c for all pairs of points given by float64 factors, (n, m)."""
    found: Floats = one[0] @ other[0].T
    for left, right in zip(one[1:], other[1:], strict=True):
        found *= left @ right.T
    return found


def squared_gaps(points: Points, centres: Points) -> Floats:
    """|u - c|² for all pairs, (n, m): (|c|² - 2u·c) + |u|², in this order everywhere, and never below 0."""
    gaps = -2.0 * inner_products(points.exact, centres.exact)
    gaps += centres.squares
    gaps += points.squares[:, None]
    np.maximum(gaps, 0.0, out=gaps)
    return gaps


def grid_exponent(largest: float, columns: int) -> int:
    """The power of two that is one step, for entries up to `largest` in absolute value."""
    if largest == 0.0:
        return 0
    bits = min(_GRID_BITS, (_EXACT_BITS - math.ceil(math.log2(max(columns, 1)))) // 2)
    return math.frexp(largest)[1] - bits


def snap(values: Factor, exponent: int) -> Steps:
    """`values` in whole steps of 2^exponent, in place where they are float32 already."""
    steps = values.astype(np.float32, copy=False)
    np.ldexp(steps, -exponent, out=steps)
    return np.rint(steps, out=steps)
