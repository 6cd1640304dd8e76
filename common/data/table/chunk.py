"""A row group decoded: its bags' numbers end to end, in memory or mapped from a file."""

import io
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
        if len(rows) and starts[-1] + sizes[-1] - starts[0] == ends[-1]:
            found = self.values[starts[0] : starts[0] + ends[-1]]
        else:
            found = self.values[np.arange(sizes.sum()) + np.repeat(starts - ends + sizes, sizes)]
        return found.astype(np.float32 if found.dtype == np.float16 else found.dtype), sizes


def decode(column: pa.ChunkedArray, payload: Payload) -> Chunk:
    """A row group's payload, decoded. Raises BadData for an image that can't be."""
    bags = column.combine_chunks()
    if payload.column == "image":
        return Chunk(_images(bags, payload), np.arange(len(bags) + 1, dtype=np.int64))
    offsets = bags.offsets.to_numpy().astype(np.int64)
    inner = bags.flatten()
    if payload.column == "features":
        return Chunk(inner.flatten().to_numpy().reshape(-1, *payload.shape), offsets - offsets[0])
    return Chunk(_images(inner, payload), offsets - offsets[0])


def decoded_bytes(payload: Payload, rows: int, instances: int) -> int:
    """What a row group takes when it is decoded."""
    return instances * payload.instance_bytes + 8 * (rows + 1)


def _images(encoded: pa.StructArray, payload: Payload) -> Values:
    """(M, 3, H, W) uint8."""
    _, height, width = payload.shape
    images = np.empty((len(encoded), *payload.shape), dtype=np.uint8)
    for place, data in enumerate(encoded.field("bytes")):
        try:
            images[place] = decode_image(io.BytesIO(data.as_buffer()), height, width)
        except UNDECODABLE as error:
            path = encoded.field("path")[place].as_py()
            raise BadData(f"image {path!r} undecodable ({error})", "an image", "build the table without it") from None
    return images
