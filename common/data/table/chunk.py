"""A row group decoded: its bags' numbers end to end, in memory or mapped from a file."""

import functools
import io
import mmap
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from common.data.images import decode_image
from common.data.instances import UNDECODABLE
from common.data.table.schema import Payload
from common.errors import BadData
from common.types import Index

Values = NDArray[Any]


@dataclass(frozen=True)
class Chunk:
    """Bag b of the row group is `values[offsets[b]:offsets[b + 1]]`; `values` (M, ...), `offsets` (rows + 1,)."""

    values: Values
    offsets: Index

    def gather(self, rows: Index) -> tuple[Values, Index]:
        """The instances of the bags at ascending `rows`, bag by bag, and the bags' sizes.

        Half precision comes out as float32, which models take; all else as it is. Always a copy.
        """
        starts, sizes = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        ends = np.cumsum(sizes)
        if (np.diff(rows) == 1).all():
            found = self.values[starts[0] : starts[0] + ends[-1]]
        else:
            found = self.values[np.arange(sizes.sum()) + np.repeat(starts - ends + sizes, sizes)]
        return found.astype(np.float32 if found.dtype == np.float16 else found.dtype), sizes


def decode(parts: Iterable[pa.Array], payload: Payload, rows: int, instances: int) -> Chunk:
    """A row group of so many bags and instances from its payload, part by part, as numbers.

    Raises BadData for an image that can't be decoded.
    """
    values = _room((instances, *payload.shape), payload.dtype)
    offsets = np.zeros(rows + 1, dtype=np.int64)
    row = filled = 0
    for bags in parts:
        inner = bags if payload.column == "image" else bags.flatten()
        sizes = np.ones(len(bags), np.int64) if payload.column == "image" else bags.value_lengths().to_numpy()
        offsets[row + 1 : row + 1 + len(bags)] = filled + np.cumsum(sizes)
        into = values[filled : filled + len(inner)]
        if payload.column == "features":
            into[:] = inner.flatten().to_numpy().reshape(into.shape)
        else:
            list(_threads_of(os.getpid()).map(_decode_image, inner, into))
        row, filled = row + len(bags), filled + len(inner)
    return Chunk(values, offsets)


def decoded_bytes(payload: Payload, rows: int, instances: int) -> int:
    """What a row group takes when it is decoded."""
    return instances * payload.instance_bytes + 8 * (rows + 1)


def _room(shape: tuple[int, ...], dtype: str) -> Values:
    """An array that goes back to the system as soon as nobody holds it; a heap would keep its memory."""
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(room, dtype).reshape(shape)


@functools.cache
def _threads_of(process: int) -> ThreadPoolExecutor:
    """A thread for each core this process may use; threads of the process it was forked from are none of its own."""
    return ThreadPoolExecutor(len(os.sched_getaffinity(process)), thread_name_prefix="negsift-image")


def _decode_image(encoded: pa.StructScalar, into: Values) -> None:
    """One image into (3, H, W) uint8."""
    try:
        into[...] = decode_image(io.BytesIO(encoded["bytes"].as_buffer()), *into.shape[1:])
    except UNDECODABLE as error:
        found = f"image {encoded['path'].as_py()!r} undecodable ({error})"
        raise BadData(found, "an image", "build the table without it") from None
