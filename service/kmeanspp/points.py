"""Points as whole multiples of a power of two, which makes float64 inner products exact.

Entries are whole numbers of at most 2^20 steps (fewer beyond 8,192 columns), so every inner product is a whole
number of at most 2^53. Its bits don't depend on threads, the order of summation, the block size or the library.

Axes: n points, m centres, c columns. Squares are squared norms |u|²; gaps are squared distances |u - c|².
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Floats, Index

Steps = NDArray[np.float32]
Factor = NDArray[np.floating]

_EXACT_BITS = 53  # of a float64's significand
_GRID_BITS = 20  # of an entry: float32 holds 24, and 2·20 + log2(8,192) = 53


@dataclass(frozen=True)
class Points:
    """Points by their positions in the pool, `index` (n,), and their `factors`, each (n, columns) in whole steps.

    A point is the tensor product of its factors; with one factor it is that row. The inner product of two
    points is the product of their factors' inner products, so the tensor is never built.
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
        """The points in these rows."""
        taken = Points(self.index[rows], tuple(factor[rows] for factor in self.factors))
        return taken.with_squares(self.squares[rows]) if "squares" in self.__dict__ else taken

    def with_squares(self, squares_n: Floats) -> Self:
        """This object, with its squared norms set instead of computed."""
        self.__dict__["squares"] = squares_n
        return self

    def append(self, other: "Points") -> "Points":
        """These points, then the other ones."""
        factors = tuple(np.concatenate(pair) for pair in zip(self.factors, other.factors, strict=True))
        return Points(np.concatenate([self.index, other.index]), factors)

    def __getstate__(self) -> dict[str, object]:
        """Only the fields: cached values are not sent."""
        return {"index": self.index, "factors": self.factors}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size_bytes(self) -> int:
        """Their size in memory and on the wire."""
        return self.index.nbytes + sum(factor.nbytes for factor in self.factors)

    @cached_property
    def factors64(self) -> tuple[Floats, ...]:
        """The factors as float64, whose products are exact."""
        return tuple(factor.astype(np.float64, copy=False) for factor in self.factors)

    @property
    def factors32(self) -> tuple[Steps, ...]:
        """The factors as float32, which holds every entry exactly."""
        return tuple(factor.astype(np.float32, copy=False) for factor in self.factors)

    def as_float32(self) -> "Points":
        """The same points in half the memory."""
        return Points(self.index, self.factors32)

    @cached_property
    def squares(self) -> Floats:
        """Squared norms in squared steps, (n,), exact."""
        return squared_norms(self.factors64)


def squared_norms(factors_nc: Sequence[Floats]) -> Floats:
    """|u|² of points given by their float64 factors, (n,)."""
    squares_n = np.ones(len(factors_nc[0]))
    for factor_nc in factors_nc:
        squares_n *= np.einsum("nc,nc->n", factor_nc, factor_nc)
    return squares_n


def inner_products(factors_nc: Sequence[Floats], factors_mc: Sequence[Floats]) -> Floats:
    """u·c for all pairs of points given by their float64 factors, (n, m)."""
    products_nm: Floats = factors_nc[0] @ factors_mc[0].T
    for left_nc, right_mc in zip(factors_nc[1:], factors_mc[1:], strict=True):
        products_nm *= left_nc @ right_mc.T
    return products_nm


def squared_gaps(points: Points, centres: Points) -> Floats:
    """|u - c|² for all pairs, (n, m): (|c|² - 2u·c) + |u|², always added in this order, and at least 0."""
    gaps_nm = -2.0 * inner_products(points.factors64, centres.factors64)
    gaps_nm += centres.squares
    gaps_nm += points.squares[:, None]
    np.maximum(gaps_nm, 0.0, out=gaps_nm)
    return gaps_nm


def grid_exponent(largest: float, columns: int) -> int:
    """The exponent of the power of two that is one step, for entries of at most `largest` in absolute value."""
    if largest == 0.0:
        return 0
    bits = min(_GRID_BITS, (_EXACT_BITS - math.ceil(math.log2(max(columns, 1)))) // 2)
    return math.frexp(largest)[1] - bits


def snap(values: Factor, exponent: int) -> Steps:
    """`values` rounded to whole steps of 2^exponent, in place if they are float32."""
    steps = values.astype(np.float32, copy=False)
    np.ldexp(steps, -exponent, out=steps)
    return np.rint(steps, out=steps)
