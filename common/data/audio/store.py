"""Waveforms and features of many clips, made once, in parallel, and resumable.

The clips are cut into parts, in the order given; a part is one Arrow file of waveforms (int16) and one
of features (float16). Their folder is named after the clips' content and the decoding, and each file
after its parameters: what is there is used, what is missing or damaged is made again, with the same
bytes. Each clip is computed alone and on one thread, so that its numbers depend on nothing else.
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
from negsift.common.data.audio.arrow import Part, read_part, write_part
from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.audio.decode import decode
from negsift.common.data.audio.logmel import clip_features
from negsift.common.data.audio.recording import Reader, Recording, digests
from negsift.common.data.instances import cache_folder
from negsift.common.errors import BadData, BadInput

_VERSION = "clips/2"
_PART, _MOST_PARTS = 32, 2048


@dataclass(frozen=True)
class Plan(Dataset[int]):
    """What is to be made of which recordings, and where it lies."""

    recordings: tuple[Recording, ...]
    config: AudioConfig
    folder: Path

    @property
    def size(self) -> int:
        """Clips in a part."""
        return max(_PART, -(-len(self.recordings) // _MOST_PARTS))

    def __len__(self) -> int:
        return -(-len(self.recordings) // self.size)

    def __getitem__(self, part: int) -> int:
        """Make what is missing of a part; so a DataLoader's workers are the process pool."""
        if part >= len(self):
            raise IndexError(part)
        waves = self.read(part, "waveforms") or self._make_waveforms(part)
        if self.read(part, "features") is None:
            self._make_features(part, waves)
        return part

    def made(self, part: int) -> bool:
        """Whether nothing of a part is still to be made."""
        return self.read(part, "waveforms") is not None and self.read(part, "features") is not None

    def read(self, part: int, kind: str) -> Part | None:
        """The `waveforms` or `features` of a part, or None if they are still to be made."""
        return read_part(self._path(part, kind), self._key(kind))

    def _make_waveforms(self, part: int) -> Part:
        reader, waves, dropped = Reader(), {}, {}
        first = part * self.size
        for number, recording in enumerate(self.recordings[first : first + self.size], first):
            try:
                waves[number] = decode(reader.read(recording), self.config.sample_rate, self.config.samples)
            except (BadData, OSError) as error:
                dropped[number] = error.found if isinstance(error, BadData) else str(error)
        held = np.stack([*waves.values()]) if waves else np.zeros((0, self.config.samples), dtype=np.int16)
        made = Part(np.array([*waves], dtype=np.int64), held, dropped)
        write_part(self._path(part, "waveforms"), made, self._key("waveforms"))
        return made

    def _make_features(self, part: int, waves: Part) -> None:
        feats = np.zeros((len(waves.number), self.config.frames, self.config.mels), dtype=np.float16)
        for row in range(len(feats)):
            feats[row] = clip_features(waves.values[row], self.config)
        write_part(self._path(part, "features"), Part(waves.number, feats, {}), self._key("features"))

    def _path(self, part: int, kind: str) -> Path:
        tag = f"-{self.config.frames}x{self.config.mels}" if kind == "features" else ""
        return self.folder / f"{kind}{tag}-{part:05d}.arrow"

    def _key(self, kind: str) -> str:
        return f"{self.folder.name}/{self.config.frames}x{self.config.mels}" if kind == "features" else self.folder.name


Elsewhere = Callable[[Plan, Sequence[int]], Iterable[int]]
elsewhere: ContextVar[Elsewhere] = ContextVar("elsewhere", default=lambda plan, missing: ())
"""Who else makes parts, such as a cluster; gives the numbers of those made, and leaves out what it can't."""


class ClipStore:
    """The finished cache: `features` and `waveforms` of clips by their number among the recordings.

    `number` (n,) are those that could be decoded, `dropped` says why the others could not. Only the
    plan crosses to another process; the files are mapped there.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parts: dict[str, list[Part]] = {}
        waves = self._opened("waveforms")
        self.number: Index = np.concatenate([np.zeros(0, dtype=np.int64), *(part.number for part in waves)])
        self.dropped: Mapping[int, str] = {number: why for part in waves for number, why in part.dropped.items()}

    @property
    def config(self) -> AudioConfig:
        """What the clips were made with."""
        return self._plan.config

    def features(self, number: Index) -> NDArray[np.float16]:
        """Log-mel (n, frames, mels) of the clips so numbered."""
        feats: NDArray[np.float16] = self._gather("features", number)
        return feats

    def waveforms(self, number: Index) -> NDArray[np.int16]:
        """Samples (n, S) of the clips so numbered."""
        waves: NDArray[np.int16] = self._gather("waveforms", number)
        return waves

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        return self.__dict__ | {"_parts": {}}

    def _gather(self, kind: str, number: Index) -> Any:  # Any: of the kind's dtype
        parts, size = self._opened(kind), self._plan.size
        held = [parts[each // size] for each in number.tolist()]
        rows = [np.searchsorted(part.number, each) for part, each in zip(held, number, strict=True)]
        return np.stack([part.values[row] for part, row in zip(held, rows, strict=True)])

    def _opened(self, kind: str) -> list[Part]:
        if kind not in self._parts:
            found = [self._plan.read(part, kind) for part in range(len(self._plan))]
            self._parts[kind] = [part for part in found if part is not None]
            if len(self._parts[kind]) < len(found):
                raise BadData(f"{kind} missing from {self._plan.folder}", "a whole cache", "start the command again")
        return self._parts[kind]


def build_store(recordings: Sequence[Recording], config: AudioConfig, workers: int | None = None) -> ClipStore:
    """The cache of these recordings, made by `workers` processes (one a core) as far as it isn't there yet.

    Raises BadInput where it can't be written.
    """
    try:
        folder = cache_folder() / f"clips-{_fingerprint(recordings, config)}"
        folder.mkdir(parents=True, exist_ok=True)
        plan = Plan(tuple(recordings), config, folder)
        missing = [part for part in range(len(plan)) if not plan.made(part)]
        _make(plan, missing, min(workers or len(os.sched_getaffinity(0)), len(missing)))
    except OSError as error:  # of a worker, torch's; the reason comes last
        reason = str(error).strip().rpartition("\n")[2]
        size_mb = len(recordings) * 2 * (config.samples + config.frames * config.mels) >> 20
        raise BadInput(
            f"{cache_folder()}, where decoded clips are kept, not writable ({reason})",
            f"a folder with {size_mb + 1:,} MiB free", "set the environment variable NEGSIFT_CACHE to one",
        ) from error  # fmt: skip
    return ClipStore(plan)


def _make(plan: Plan, missing: Sequence[int], workers: int) -> None:
    """Make the missing parts elsewhere; those that can't be in `workers` processes, or in this one."""
    made, threads = _made(plan, missing, workers), torch.get_num_threads()
    done = len(plan) - len(missing)
    torch.set_num_threads(1)  # as in the other processes; put back below
    try:
        deque(tqdm(made, "clips", len(plan), initial=done, disable=None, leave=False, unit="part"), maxlen=0)
    finally:
        torch.set_num_threads(threads)


def _made(plan: Plan, missing: Sequence[int], workers: int) -> Iterator[int]:
    if missing:
        yield from elsewhere.get()(plan, missing)
    left = [part for part in missing if not plan.made(part)]
    if left:
        processes = workers if workers > 1 else 0
        yield from DataLoader(plan, sampler=left, batch_size=None, num_workers=processes, in_order=False)


def _fingerprint(recordings: Sequence[Recording], config: AudioConfig) -> str:
    """A hash of the clips' content, in order, and of how they are decoded."""
    told = [_VERSION, config.sample_rate, config.samples, *digests(recordings)]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=10).hexdigest()
