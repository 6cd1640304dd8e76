"""A cache of the waveforms and features of many clips: made in parallel, once, and resumable.

The clips are divided, in the given order, into parts; each part is one Arrow file of waveforms (int16) and one of
features (float16). The folder's name is a hash of the clips' content and the decoding; each file names its
parameters. Existing files are used, missing or damaged ones are made again with the same bytes. Each clip is
computed alone and on one thread, so that its numbers depend on nothing else.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from negsift.common.arrays import Index
from negsift.common.data.audio.cache_part import CachePart, read_part, write_part
from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.audio.decode import decode
from negsift.common.data.audio.logmel import clip_features
from negsift.common.data.audio.recording import Recording, RecordingReader, digests
from negsift.common.data.cache_folder import cache_folder
from negsift.common.errors import BadData, BadInput

_VERSION = "clips/2"
# Small parts lose little when a process is killed; a limit keeps the number of files of large lists low.
_PART_CLIPS, _MOST_PARTS = 32, 2048


@dataclass(frozen=True)
class CachePlan(Dataset[int]):
    """The cache of some recordings in `folder`; it is a dataset whose item i makes part i."""

    recordings: tuple[Recording, ...]
    config: AudioConfig
    folder: Path

    @property
    def size(self) -> int:
        """The number of clips in a part."""
        return max(_PART_CLIPS, -(-len(self.recordings) // _MOST_PARTS))

    def __len__(self) -> int:
        return -(-len(self.recordings) // self.size)

    def __getitem__(self, part: int) -> int:
        """Make what is missing of a part, so that a DataLoader's workers serve as the process pool."""
        if part >= len(self):
            raise IndexError(part)
        waves = self.read(part, "waveforms") or self._make_waveforms(part)
        if self.read(part, "features") is None:
            self._make_features(part, waves)
        return part

    def is_made(self, part: int) -> bool:
        """Whether both files of a part are there."""
        return self.read(part, "waveforms") is not None and self.read(part, "features") is not None

    def read(self, part: int, kind: str) -> CachePart | None:
        """The `waveforms` or `features` of a part; None if they must be made."""
        return read_part(self._path(part, kind), self._key(kind))

    def _make_waveforms(self, part: int) -> CachePart:
        reader, waves, dropped = RecordingReader(), {}, {}
        first = part * self.size
        for number, recording in enumerate(self.recordings[first : first + self.size], first):
            try:
                waves[number] = decode(reader.read(recording), self.config.sample_rate, self.config.samples)
            except (BadData, OSError) as error:
                dropped[number] = error.found if isinstance(error, BadData) else str(error)
        values = np.stack([*waves.values()]) if waves else np.zeros((0, self.config.samples), dtype=np.int16)
        made = CachePart(np.array([*waves], dtype=np.int64), values, dropped)
        write_part(self._path(part, "waveforms"), made, self._key("waveforms"))
        return made

    def _make_features(self, part: int, waves: CachePart) -> None:
        feats = np.zeros((len(waves.number), self.config.frames, self.config.mels), dtype=np.float16)
        for row in range(len(feats)):
            feats[row] = clip_features(waves.values[row], self.config)
        write_part(self._path(part, "features"), CachePart(waves.number, feats, {}), self._key("features"))

    def _path(self, part: int, kind: str) -> Path:
        tag = f"-{self.config.frames}x{self.config.mels}" if kind == "features" else ""
        return self.folder / f"{kind}{tag}-{part:05d}.arrow"

    def _key(self, kind: str) -> str:
        return f"{self.folder.name}/{self.config.frames}x{self.config.mels}" if kind == "features" else self.folder.name


@dataclass(frozen=True)
class _Attempts(Dataset[int | OSError]):
    """A plan whose item is the error where a part can't be written.

    An error that a DataLoader raises keeps its workers in a cycle until the garbage is collected. By then nothing
    reaches them any more, and torch waits 5 s for each.
    """

    plan: CachePlan

    def __getitem__(self, part: int) -> int | OSError:
        try:
            return self.plan[part]
        except OSError as error:
            return error


RemoteDecoding = Callable[[CachePlan, Sequence[int]], Iterable[int]]
remote_decoding: ContextVar[RemoteDecoding] = ContextVar("remote_decoding", default=lambda plan, missing: ())
"""Makes parts outside this process, for example on a cluster. Yields the numbers of the parts that it made; parts
that it could not make are made here."""


class ClipStore:
    """The complete cache: `features` and `waveforms` of clips by their number among the recordings. `number` (n,) are
    the clips that could be decoded; `dropped` has the reason for each other one. Only the plan is pickled; another
    process maps the files again.
    """

    def __init__(self, plan: CachePlan) -> None:
        """Raises BadData if a part is missing."""
        self._plan = plan
        self._parts: dict[str, list[CachePart]] = {}
        waves = self._open("waveforms")
        self.number: Index = np.concatenate([np.zeros(0, dtype=np.int64), *(part.number for part in waves)])
        self.dropped: Mapping[int, str] = {number: why for part in waves for number, why in part.dropped.items()}

    @property
    def config(self) -> AudioConfig:
        """The parameters of the clips."""
        return self._plan.config

    @property
    def content(self) -> str:
        """What identifies the features: the folder's name, a hash of the clips' content, and the features' shape."""
        return f"{self._plan.folder.name}/{self.config.frames}x{self.config.mels}"

    def features(self, number: Index) -> NDArray[np.float16]:
        """Log-mel (n, frames, mels) of the clips with these numbers."""
        return self._gather("features", number)

    def waveforms(self, number: Index) -> NDArray[np.int16]:
        """Samples (n, S) of the clips with these numbers."""
        return self._gather("waveforms", number)

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        return self.__dict__ | {"_parts": {}}

    def _gather(self, kind: str, number: Index) -> NDArray[Any]:  # Any: int16 or float16, by `kind`
        parts, size = self._open(kind), self._plan.size
        part_of = [parts[clip // size] for clip in number.tolist()]
        rows = [np.searchsorted(part.number, clip) for part, clip in zip(part_of, number, strict=True)]
        return np.stack([part.values[row] for part, row in zip(part_of, rows, strict=True)])

    def _open(self, kind: str) -> list[CachePart]:
        if kind not in self._parts:
            parts = [self._plan.read(part, kind) for part in range(len(self._plan))]
            self._parts[kind] = [part for part in parts if part is not None]
            if len(self._parts[kind]) < len(parts):
                found = f"{kind} missing from {self._plan.folder}"
                raise BadData(found, "a complete cache", "start the command again")
        return self._parts[kind]


def build_store(recordings: Sequence[Recording], config: AudioConfig, workers: int | None = None) -> ClipStore:
    """The cache of these recordings; missing parts are made by `workers` processes, by default one for each core.
    Raises BadInput if the cache can't be written.
    """
    try:
        folder = cache_folder() / f"clips-{_fingerprint(recordings, config)}"
        folder.mkdir(parents=True, exist_ok=True)
        plan = CachePlan(tuple(recordings), config, folder)
        missing = [part for part in range(len(plan)) if not plan.is_made(part)]
        _make(plan, missing, min(workers or len(os.sched_getaffinity(0)), len(missing)))
    except OSError as error:
        size_mb = len(recordings) * 2 * (config.samples + config.frames * config.mels) >> 20
        found = f"{cache_folder()}, where decoded clips are kept, not writable ({error})"
        remedy = "set the environment variable NEGSIFT_CACHE to one"
        raise BadInput(found, f"a folder with {size_mb + 1:,} MiB free", remedy) from error
    return ClipStore(plan)


def _make(plan: CachePlan, missing: Sequence[int], workers: int) -> None:
    """Make the missing parts, with a progress bar."""
    made, threads = _made_parts(plan, missing, workers), torch.get_num_threads()
    torch.set_num_threads(1)  # as in a DataLoader's worker: the numbers depend on the number of threads
    try:
        deque(
            tqdm(made, "clips", len(plan), initial=len(plan) - len(missing), disable=None, leave=False, unit="part"),
            maxlen=0,
        )
    finally:
        torch.set_num_threads(threads)


def _made_parts(plan: CachePlan, missing: Sequence[int], workers: int) -> Iterator[int]:
    """The numbers of the parts as they are made: remotely, then in `workers` processes or in this one."""
    if missing:
        yield from remote_decoding.get()(plan, missing)
    left = [part for part in missing if not plan.is_made(part)]
    if left:
        processes = workers if workers > 1 else 0
        # in_order=False: a slow part must not hold back the parts behind it.
        for made in DataLoader(_Attempts(plan), sampler=left, batch_size=None, num_workers=processes, in_order=False):
            if isinstance(made, OSError):
                raise made
            yield made


def _fingerprint(recordings: Sequence[Recording], config: AudioConfig) -> str:
    """A hash of the clips' content, in order, and of the parameters of decoding."""
    content = [_VERSION, config.sample_rate, config.samples, *digests(recordings)]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=10).hexdigest()
