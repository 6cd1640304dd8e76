"""Small bag tables of clips that the tests share, and the features of their clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.audio.decode import decode
from negsift.common.data.audio.logmel import clip_features
from negsift.common.data.table.build import build_table
from negsift.common.data.table.location import Location
from negsift.common.data.table.sources.source import BuildConfig
from tests.unit.clips import SMALL

LABELS = {"/m/high": "High tone, beep", "/m/low": "Low tone", "/t/dd00001": "Noise"}
CLIPS = BuildConfig(seconds=SMALL.seconds, mels=SMALL.mels, frames=SMALL.frames, group_mb=0.1)


def build(source: Path, where: Path, config: BuildConfig = CLIPS, append: bool = False) -> Location:
    """A table of the clips at `source`, in row groups of some five clips."""
    build_table(where, source, config, append)
    return Location.of(where)


def features(clips: Sequence[bytes], config: AudioConfig = SMALL) -> NDArray[Any]:
    """What each of these clips is decoded to, alone and on one thread."""
    outside = torch.get_num_threads()
    torch.set_num_threads(1)
    waves = [decode(clip, config.sample_rate, config.samples) for clip in clips]
    found = np.stack([clip_features(wave, config) for wave in waves])
    torch.set_num_threads(outside)
    return found
