"""Bounds on distances from what points look like along a few directions, in place of all their columns.

With z the coordinates of a point u in an orthonormal basis of the directions' span, and p its distance from the
span (Pythagoras),

    |z_u - z_c|² + (p_u - p_c)²  ≤  |u - c|²  ≤  |z_u - z_c|² + (p_u + p_c)².

Gradients of a network's last layer are mostly along few directions, so these bounds are close. Directions are whole
steps, so products with points are exact; all else is single operations in a fixed order. A sketch, (n, r + 1), has
the coordinates and then p, and has the same bits anywhere. Axes: n points, m centres, c columns, r directions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod, sqrt

import numpy as np

from negsift.common.arrays import Floats
from negsift.service.kmeanspp.points import Points, Steps, grid_exponent

_OF_ONE, _OF_EACH = 3, 2  # directions where points have one factor, and of each of several factors
_WIDE, _MANY, _MORE = 256, 1_000, 15  # columns and centres from which on so many directions pay in comparisons
_ROUNDS = 2  # of orthogonal iteration
_DEPENDENT = 2.0**-12  # a direction of which less than this is new is left out
_SLACK = 2.0**-46  # of |u|², for rounding: what is a bound stays one


@dataclass(frozen=True, eq=False)
class Directions:
    """A few directions, in whole steps; those of a tensor product are the products of its factors' directions."""

    factors: tuple[Steps, ...]

    def __getstate__(self) -> dict[str, object]:
        """Only the field: cached values are not sent."""
        return {"factors": self.factors}

    @property
    def count(self) -> int:
        """How many there are."""
        return prod(len(factor_rc) for factor_rc in self.factors)

    @property
    def size_bytes(self) -> int:
        """Their size in memory and on the wire."""
        return sum(factor_rc.nbytes for factor_rc in self.factors)

    def are(self, others: "Directions") -> bool:
        """Whether the others are the same."""
        return self is others or all(map(np.array_equal, self.factors, others.factors))

    @cached_property
    def _triangles(self) -> list[list[list[float]]]:
        """The Cholesky factor of each factor's Gram matrix, row by row."""
        return [_cholesky(factor_rc.astype(np.float64)) for factor_rc in self.factors]

    @cached_property
    def orthonormal(self) -> tuple[Floats, ...]:
        """An orthonormal basis of each factor's directions, (r, c)."""
        factors = [factor_rc.astype(np.float64) for factor_rc in self.factors]
        pairs = zip(self._triangles, factors, strict=True)
        return tuple(np.array(_substituted(triangle, list(rows))).reshape(rows.shape) for triangle, rows in pairs)

    def sketch(self, points: Points) -> Floats:
        """The coordinates of points and their distances from the span, (n, r + 1)."""
        coordinates = []
        for triangle, factor_nc, factor_rc in zip(self._triangles, points.factors64, self.factors, strict=True):
            coordinates.append(_substituted(triangle, list((factor_nc @ factor_rc.astype(np.float64).T).T)))
        columns = combined(coordinates)
        rest_n = points.squares.copy()
        for column_n in columns:
            rest_n -= column_n * column_n
        rest_n = np.maximum(rest_n, 0.0) + points.squares * _SLACK
        return np.stack([*columns, np.sqrt(rest_n)], axis=1)


def combined(coordinates: Sequence[Sequence[Floats]]) -> list[Floats]:
    """The coordinates of tensor products from those of their factors."""
    first, *others = coordinates
    columns = list(first)
    for other in others:
        columns = [left * right for left, right in product(columns, other)]
    return columns


def upper_gaps(points: tuple[Floats, Floats], centres: tuple[Floats, Floats]) -> Floats:
    """Bounds on |u - c|² from above for all pairs, (n, m), each side given by its sketch and its squared norms."""
    (sketch_nr, squares_n), (sketch_mr, squares_m) = points, centres
    gaps_nm: Floats = (squares_n[:, None] + squares_m) * (1.0 + _SLACK)
    for z_n, z_m in zip(sketch_nr.T[:-1], sketch_mr.T[:-1], strict=True):
        gaps_nm -= z_n[:, None] * (2.0 * z_m)
    gaps_nm += sketch_nr[:, -1:] * (2.0 * sketch_mr[:, -1])
    return gaps_nm


def plain_sketch(points: Points, basis_rc: Floats) -> Steps:
    """Sketches (r + 1, n) along an orthonormal basis, to 2^-22 of |u|, of points of one factor; bits differ."""
    coordinates_rn = basis_rc @ points.factors64[0].T
    rest_n = points.squares - np.einsum("rn,rn->n", coordinates_rn, coordinates_rn)
    return np.vstack([coordinates_rn, np.sqrt(np.maximum(rest_n, 0.0))]).astype(np.float32)


def pruning_basis(sample: Points, directions: Directions, centres: int) -> Floats | None:
    """An orthonormal basis for `plain_sketch`: that of the directions, or more of them for many wide centres."""
    if len(sample.factors) > 1:
        return None
    if sample.factors[0].shape[1] < _WIDE or centres < _MANY:
        return directions.orthonormal[0]
    basis_rc: Floats = np.linalg.svd(sample.factors64[0], full_matrices=False)[2][:_MORE]
    return basis_rc


def find_directions(sample: Points) -> Directions:
    """The directions along which the sample is longest, about: orthogonal iteration from its longest points."""
    wanted = _OF_ONE if len(sample.factors) == 1 else _OF_EACH
    return Directions(tuple(_leading(factor_nc, wanted) for factor_nc in sample.factors64))


def _leading(x_nc: Floats, wanted: int) -> Steps:
    order = np.argsort(-np.einsum("nc,nc->n", x_nc, x_nc), kind="stable")
    v_rc = _orthogonal(x_nc[order[: 4 * wanted]])[:wanted]
    for _ in range(_ROUNDS):
        y_rn = np.array([_whole(products_n) for products_n in v_rc @ x_nc.T]).reshape(len(v_rc), len(x_nc))
        v_rc = _orthogonal(y_rn @ x_nc)
    return v_rc.astype(np.float32)


def _orthogonal(v_rc: Floats) -> Floats:
    """Gram-Schmidt in whole steps, without what depends on the rows before."""
    kept: list[Floats] = []
    for row_c in v_rc:
        v_c = _whole(row_c)
        for other_c in kept:
            v_c = v_c - float(v_c @ other_c) / float(other_c @ other_c) * other_c
            v_c = np.rint(v_c)
        if np.abs(v_c).max(initial=0.0) > _DEPENDENT * np.abs(_whole(row_c)).max(initial=0.0):
            kept.append(_whole(v_c))
    return np.stack(kept) if kept else np.zeros((0, v_rc.shape[1]))


def _whole(values_c: Floats) -> Floats:
    """`values_c` in whole steps, as many as products with points allow."""
    exponent = grid_exponent(float(np.abs(values_c).max(initial=0.0)), len(values_c))
    return np.rint(np.ldexp(values_c, -exponent))


def _cholesky(v_rc: Floats) -> list[list[float]]:
    """The lower triangle L with L Lᵀ the Gram matrix of `v_rc`, whose entries are whole numbers."""
    gram, triangle = (v_rc @ v_rc.T).tolist(), list[list[float]]()
    for i, products in enumerate(gram):
        row = list[float]()
        for j in range(i + 1):
            value = products[j]
            for k in range(j):
                value -= row[k] * (triangle[j][k] if j < i else row[k])
            row.append(sqrt(value) if i == j else value / triangle[j][j])
        triangle.append(row)
    return triangle


def _substituted(triangle: list[list[float]], products: list[Floats]) -> list[Floats]:
    """L⁻¹ y by forward substitution, a row of y at a time."""
    z: list[Floats] = []
    for row, y in zip(triangle, products, strict=True):
        value = y
        for factor, before in zip(row, z, strict=False):
            value = value - factor * before
        z.append(value / row[-1])
    return z
