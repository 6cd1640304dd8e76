"""Room for a shard's points: 4 bytes a number, in a temporary memory-mapped file if that is more than is allowed.

Axes: n bags, c columns.
"""

import math
import os
import tempfile
from collections.abc import Sequence

import numpy as np

from negsift.common.arrays import Array, Index
from negsift.common.errors import ServiceError
from negsift.service.kmeanspp.points import Steps, snap
from negsift.service.points.grid import Extent

_NEAR = 60  # powers of two around which float32 keeps 2^60 times less and more without a loss


class PointBuffer:
    """Points one part after the other; the arrays are made once the first part shows its columns."""

    def __init__(self, count: int, limit_bytes: int) -> None:
        """At most `count` points."""
        self._count, self._limit_bytes, self.filled = count, limit_bytes, 0
        self.factors: list[FactorRows] = []
        self._index: Index = np.zeros(count, dtype=np.int64)

    @property
    def index(self) -> Index:
        """The positions of the points added so far."""
        return self._index[: self.filled]

    def add(self, index: Index, factors: Sequence[Array]) -> None:
        """Append points, given by their positions and by their finite factors."""
        self.factors = self.factors or [FactorRows(self._array(factor.shape[1])) for factor in factors]
        self._index[self.filled : self.filled + len(index)] = index
        for own, added_nc in zip(self.factors, factors, strict=True):
            own.add(added_nc)
        self.filled += len(index)

    def _array(self, columns: int) -> Steps:
        if 4 * columns * self._count <= self._limit_bytes:
            return np.zeros((self._count, columns), dtype=np.float32)
        with tempfile.TemporaryFile() as file:  # the mapping outlives it
            _reserve(file.fileno(), 4 * columns * self._count)
            return np.memmap(file, np.float32, "w+", shape=(self._count, columns))


class FactorRows:
    """Rows of float32, times a power of two: gradients of 1e-100 keep their digits."""

    def __init__(self, room_nc: Steps) -> None:
        self._room_nc, self._filled = room_nc, 0
        self._exponent: int | None = None  # entries are 2^exponent times what is stored; None: all are 0 so far

    def add(self, rows_nc: Array) -> None:
        """Append rows."""
        exponent = math.frexp(max(float(rows_nc.max(initial=0.0)), -float(rows_nc.min(initial=0.0))))[1]
        if rows_nc.any() and (self._exponent is None or exponent > self._exponent + _NEAR):
            self._scale_to(0 if abs(exponent) <= _NEAR else exponent)
        scaled_nc = np.ldexp(rows_nc, -self._exponent) if self._exponent else rows_nc
        self._room_nc[self._filled : self._filled + len(rows_nc)] = scaled_nc
        self._filled += len(rows_nc)

    def extent(self) -> Extent:
        """The extent of the columns, in their own units."""
        low_c, high_c = self._rows_nc.min(0, initial=np.inf), self._rows_nc.max(0, initial=-np.inf)
        low, high = (np.ldexp(bound_c.astype(np.float64), self._exponent or 0).tolist() for bound_c in (low_c, high_c))
        return Extent(tuple(low), tuple(high))

    def on_grid(self, exponent: int, origin: Sequence[float]) -> Steps:
        """The rows less the `origin` (c,) in whole steps of 2^exponent, in place."""
        rows_nc, own = self._rows_nc, self._exponent or 0
        if len(origin):
            np.subtract(rows_nc, np.ldexp(origin, -own), out=rows_nc, casting="same_kind")
        return snap(rows_nc, exponent - own)

    @property
    def _rows_nc(self) -> Steps:
        return self._room_nc[: self._filled]

    def _scale_to(self, exponent: int) -> None:
        if self._exponent is not None and self._exponent != exponent:
            np.ldexp(self._rows_nc, self._exponent - exponent, out=self._rows_nc)
        self._exponent = exponent


def _reserve(file: int, size: int) -> None:
    """Have a file take its bytes on the disk: a mapping without them ends its process where the disk is full."""
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        raise ServiceError(
            f"no room for {size / 2**20:,.1f} MiB of points in {tempfile.gettempdir()} ({error.strerror})",
            "free some space, set TMPDIR to a folder on another disk, or raise fleet.cache_mb",
        ) from error
