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

from negsift.common.arrays import Index
from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.images import decode_image
from negsift.common.data.instances import UNDECODABLE, why_not
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadData
from negsift.common.threads import block_workers

Values = NDArray[Any]
_PART_BYTES = 1 << 20
_MOST_CLIPS = 8
_SECOND_BYTES = 5 << 19
"""What decoding takes for a second of a clip, measured: 48 kHz, stereo, to 16 kHz."""
_WITHOUT = "build the table without it"


@dataclass(frozen=True)
class DecodedRowGroup:
    """Bag b of the row group is `values[offsets[b]:offsets[b + 1]]`; `values` (M, ...), `offsets` (rows + 1,)."""

    values: Values
    offsets: Index

    def gather(self, rows: Index, dtype: str) -> tuple[Values, Index]:
        """The instances of the bags at ascending `rows`, bag by bag, as `dtype`, and the bags' sizes. Always a copy."""
        starts, sizes = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        ends = np.cumsum(sizes)
        if (np.diff(rows) == 1).all():
            found = self.values[starts[0] : starts[0] + ends[-1]]
        else:
            found = self.values[np.arange(sizes.sum()) + np.repeat(starts - ends + sizes, sizes)]
        return found.astype(dtype), sizes


def decode(parts: Iterable[pa.Array], payload: Payload, rows: int, instances: int) -> DecodedRowGroup:
    """A row group of so many bags and instances from its payload, part by part, as numbers.

    Raises BadData for an image or a clip that can't be decoded.
    """
    dtype, shape = payload.kept
    values = _room((instances, *shape), dtype)
    offsets = np.zeros(rows + 1, dtype=np.int64)
    row = filled = 0
    for bags in parts:
        inner = bags if payload.single else bags.flatten()
        sizes = np.ones(len(bags), np.int64) if payload.single else bags.value_lengths().to_numpy()
        offsets[row + 1 : row + 1 + len(bags)] = filled + np.cumsum(sizes)
        into = values[filled : filled + len(inner)]
        if payload.column == "features":
            into[:] = inner.flatten().to_numpy().reshape(into.shape)
        elif payload.views:
            into[:] = inner.to_numpy()
        else:
            decode_one = functools.partial(_decode_clip, payload.audio) if payload.sound else _decode_image
            list(_threads_of(os.getpid()).map(decode_one, inner, into))
        row, filled = row + len(bags), filled + len(inner)
    return DecodedRowGroup(values, offsets)


def decoded_bytes(payload: Payload, rows: int, instances: int) -> int:
    """What a row group takes when it is decoded."""
    return instances * payload.instance_bytes + 8 * (rows + 1)


def part_rows(payload: Payload, rows: int, instances: int) -> int:
    """How many of a row group's bags are decoded at a time: a MiB of them, but clips by number."""
    return clips_at_once() if payload.sound else max(1, rows * _PART_BYTES // decoded_bytes(payload, rows, instances))


def working_bytes(payload: Payload) -> int:
    """What decoding takes besides the encoded bytes and the numbers, where it is more than a little."""
    return round(clips_at_once() * payload.sound.seconds * _SECOND_BYTES) if payload.sound else 0


def clips_at_once() -> int:
    """As many as there are threads to decode them, but no more than memory can be spared for."""
    return min(_MOST_CLIPS, len(os.sched_getaffinity(0)))


def _room(shape: tuple[int, ...], dtype: str) -> Values:
    """An array that goes back to the system as soon as nobody holds it; a heap would keep its memory."""
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(room, dtype).reshape(shape)


@functools.cache
def _threads_of(process: int) -> ThreadPoolExecutor:
    """A thread for each core this process may use; threads of the process it was forked from are none of its own.

    Each computes alone, so that a clip's numbers depend on nothing else.
    """
    return block_workers(len(os.sched_getaffinity(process)), "negsift-decode-one")


def _decode_image(encoded: pa.StructScalar, into: Values) -> None:
    """One image into (3, H, W) uint8."""
    try:
        into[...] = decode_image(io.BytesIO(encoded["bytes"].as_buffer()), *into.shape[1:])
    except UNDECODABLE as error:
        raise _undecodable("image", encoded, why_not(error)) from None


def _decode_clip(config: AudioConfig, encoded: pa.StructScalar, into: Values) -> None:
    """One clip into (frames, mels) float16."""
    from negsift.common.data.audio.decode import decode as decode_sound  # imported here: only clips need libsndfile
    from negsift.common.data.audio.logmel import clip_features

    try:
        wave = decode_sound(encoded["bytes"].as_py(), config.sample_rate, config.samples)
    except BadData as error:
        raise _undecodable("clip", encoded, error.found) from None
    into[...] = clip_features(wave, config)


def _undecodable(what: str, encoded: pa.StructScalar, why: str) -> BadData:
    return BadData(f"{what} {encoded['path'].as_py()!r} undecodable ({why})", f"a whole {what}", _WITHOUT)
