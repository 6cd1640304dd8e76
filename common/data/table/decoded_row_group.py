"""Decodes a row group: its bags as numbers, end to end, in memory or mapped from a file."""

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
from negsift.common.data.decode_errors import UNDECODABLE, decode_fault
from negsift.common.data.images import decode_image
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadData
from negsift.common.threads import block_workers

Values = NDArray[Any]  # Any: of the payload's dtype
_PART_BYTES = 1 << 20
_MOST_CLIPS = 8
_SECOND_BYTES = 5 << 19
"""Memory to decode one second of a clip, measured on 48 kHz stereo brought to 16 kHz."""
_REMEDY = "build the table without it"


@dataclass(frozen=True)
class DecodedRowGroup:
    """Bag b of the row group is `values[offsets[b]:offsets[b + 1]]`; `values` (M, ...), `offsets` (rows + 1,)."""

    values: Values
    offsets: Index

    def gather(self, rows: Index, dtype: str) -> tuple[Values, Index]:
        """A copy of the instances of the bags at ascending `rows`, end to end, as `dtype`, and the bags' sizes."""
        starts, sizes = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        ends = np.cumsum(sizes)
        if (np.diff(rows) == 1).all():
            instances = self.values[starts[0] : starts[0] + ends[-1]]
        else:
            instances = self.values[np.arange(sizes.sum()) + np.repeat(starts - ends + sizes, sizes)]
        return instances.astype(dtype), sizes


def decode(parts: Iterable[pa.Array], payload: Payload, rows: int, instances: int) -> DecodedRowGroup:
    """A row group of `rows` bags and `instances` instances, from the parts of its payload column. Raises BadData for an
    image or a clip that can't be decoded, and for another number of instances.
    """
    dtype, shape = payload.decoded
    values = _allocate((instances, *shape), dtype)
    offsets = np.zeros(rows + 1, dtype=np.int64)
    row = filled = 0
    for bags in parts:
        inner = bags if payload.single else bags.flatten()
        sizes = np.ones(len(bags), np.int64) if payload.single else bags.value_lengths().to_numpy()
        if filled + len(inner) > instances:
            break
        offsets[row + 1 : row + 1 + len(bags)] = filled + np.cumsum(sizes)
        into = values[filled : filled + len(inner)]
        if payload.column == "features":
            into[:] = inner.flatten().to_numpy().reshape(into.shape)
        elif payload.views:
            into[:] = inner.to_numpy()
        else:
            decode_one = functools.partial(_decode_clip, payload.audio) if payload.sound else _decode_image
            list(_decoding_threads(os.getpid()).map(decode_one, inner, into))
        row, filled = row + len(bags), filled + len(inner)
    if filled != instances:
        raise BadData("a row group with another number of instances", f"{instances:,}, as the manifest lists", _REMEDY)
    return DecodedRowGroup(values, offsets)


def decoded_bytes(payload: Payload, rows: int, instances: int) -> int:
    """Memory of a decoded row group."""
    return instances * payload.instance_bytes + 8 * (rows + 1)


def part_rows(payload: Payload, rows: int, instances: int) -> int:
    """The number of a row group's bags to decode at a time: about 1 MiB of them, or `clips_at_once` clips."""
    return clips_at_once() if payload.sound else max(1, rows * _PART_BYTES // decoded_bytes(payload, rows, instances))


def working_bytes(payload: Payload) -> int:
    """Memory that decoding takes on top of the encoded bytes and the result; only clips take a notable amount."""
    return round(clips_at_once() * payload.sound.seconds * _SECOND_BYTES) if payload.sound else 0


def clips_at_once() -> int:
    """The number of clips decoded at the same time: one for each core, limited to bound `working_bytes`."""
    return min(_MOST_CLIPS, len(os.sched_getaffinity(0)))


def _allocate(shape: tuple[int, ...], dtype: str) -> Values:
    """An array outside the heap, which would keep the memory of freed arrays beyond the budget."""
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), dtype).reshape(shape)


@functools.cache
def _decoding_threads(process: int) -> ThreadPoolExecutor:
    """A thread for each core of this process; the key makes a forked process start its own. Each thread decodes whole
    clips, so that a clip's numbers do not depend on their number.
    """
    return block_workers(len(os.sched_getaffinity(process)), "negsift-decode-one")


def _decode_image(encoded: pa.StructScalar, into: Values) -> None:
    """Decode one image into (3, H, W) uint8."""
    try:
        into[...] = decode_image(io.BytesIO(encoded["bytes"].as_buffer()), *into.shape[1:])
    except UNDECODABLE as error:
        raise _undecodable("image", encoded, decode_fault(error)) from None


def _decode_clip(config: AudioConfig, encoded: pa.StructScalar, into: Values) -> None:
    """Decode one clip into (frames, mels) float16."""
    from negsift.common.data.audio.decode import decode as decode_sound  # imported here: only clips need libsndfile
    from negsift.common.data.audio.logmel import clip_features

    try:
        wave = decode_sound(encoded["bytes"].as_py(), config.sample_rate, config.samples)
    except BadData as error:
        raise _undecodable("clip", encoded, error.found) from None
    into[...] = clip_features(wave, config)


def _undecodable(kind: str, encoded: pa.StructScalar, reason: str) -> BadData:
    return BadData(f"{kind} {encoded['path'].as_py()!r} undecodable ({reason})", f"a readable {kind}", _REMEDY)
