"""Synthesised clips, written as FLAC files in AudioSet's form, so that audio needs no download. A clip is noise with
none to three of five kinds of short events at random times. Its tags name the events but not their times: weak labels.
"""

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from negsift.common.arrays import Floats
from negsift.common.data import audioset
from negsift.common.data.audioset.classes import Vocabulary
from negsift.common.data.audioset.clips import Clips
from negsift.common.data.cache_folder import cache_folder
from negsift.common.data.config import DataConfig
from negsift.common.errors import BadInput
from negsift.common.rng import generator
from negsift.common.unfinished import replacing_folder

RATE = 16_000
SECONDS = 4.0
_CLIPS = {"balanced_train_segments.csv": ("train", 240), "eval_segments.csv": ("eval", 120)}
_EVENT_S, _NOISE, _LOUDNESS = 0.5, 0.05, (0.05, 0.15)
_LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))


def load(config: DataConfig) -> tuple[Clips, Clips]:
    """240 training and 120 test clips of 4 s. They are written to `data.root`, or else the cache folder, once."""
    root = config.folder("a new folder") if config.root else cache_folder() / f"audio-demo-{config.bag_seed}"
    if not os.path.exists(root):
        _make(root, config)
    return audioset.load(replace(config, root=str(root)))


def _make(root: Path, config: DataConfig) -> None:
    try:
        write_demo(root, config.bag_seed)
    except OSError as error:
        found = f"{root}, where synthesised clips are kept, not writable ({error.strerror or error})"
        remedy = "correct data.root" if config.root else "set the environment variable NEGSIFT_CACHE to one"
        raise BadInput(found, "a folder with 20 MiB free", remedy) from error


def write_demo(root: Path, seed: int) -> None:
    """Write the lists, the class index and the clips; `root` appears complete or not at all."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(root) as unfinished:
        for name, (folder, count) in _CLIPS.items():
            (unfinished / folder).mkdir(parents=True)
            lines = [_write_clip(unfinished / folder, seed, f"{folder}/{number}") for number in range(count)]
            heading = "# YTID, start_seconds, end_seconds, positive_labels"
            (unfinished / name).write_text("\n".join([heading, *lines, ""]))
        index = [f'{number},{mid},"{VOCABULARY.name(mid)}"' for number, mid in enumerate(VOCABULARY.mids)]
        (unfinished / "class_labels_indices.csv").write_text("\n".join(["index,mid,display_name", *index, ""]))


def _write_clip(folder: Path, seed: int, name: str) -> str:
    """Write a clip and return its line for the segment list."""
    random = generator(seed, f"audio-demo/{name}")
    samples = random.normal(0, _NOISE, round(SECONDS * RATE))
    kinds = sorted(random.choice(list(EVENTS), random.integers(0, 4), replace=False).tolist())
    for kind in kinds:
        event = EVENTS[kind](np.arange(round(_EVENT_S * RATE)) / RATE, random) * np.hanning(round(_EVENT_S * RATE))
        start = random.integers(0, len(samples) - len(event))
        samples[start : start + len(event)] += random.uniform(*_LOUDNESS) * event
    clip = "".join(random.choice(_LETTERS, 11))
    encoded = io.BytesIO()  # on a full disk soundfile would not say the reason
    soundfile.write(encoded, np.clip(samples, -1, 1), RATE, format="FLAC")
    (folder / f"{clip}.flac").write_bytes(encoded.getvalue())
    return f'{clip}, 0.000, {SECONDS:.3f}, "{",".join(f"/m/demo_{kind}" for kind in kinds or ["nothing"])}"'


def _sweep(times: Floats, low: float, high: float) -> Floats:
    return np.asarray(np.sin(2 * np.pi * (low * times + (high - low) / (2 * _EVENT_S) * times**2)))


def _hum(times: Floats, pitch: float) -> Floats:
    return np.asarray(sum(np.sin(2 * np.pi * pitch * part * times) / part for part in range(1, 8)))


def _rattle(times: Floats, random: np.random.Generator) -> Floats:
    return np.asarray(3 * random.normal(size=len(times)) * (np.sin(2 * np.pi * random.uniform(18, 25) * times) > 0.8))


EVENTS: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "rise": lambda times, random: _sweep(times, random.uniform(300, 500), random.uniform(2500, 3500)),
    "fall": lambda times, random: _sweep(times, random.uniform(2500, 3500), random.uniform(300, 500)),
    "beep": lambda times, random: np.asarray(np.sin(2 * np.pi * random.uniform(900, 1100) * times)),
    "hum": lambda times, random: _hum(times, random.uniform(90, 130)),
    "rattle": _rattle,
}
"""The kinds of events by name: each maps times in seconds (n,) to samples (n,)."""
VOCABULARY = Vocabulary(tuple(f"/m/demo_{name}" for name in EVENTS), {f"/m/demo_{name}": name for name in EVENTS})
"""The classes of the clips, as they are written to `class_labels_indices.csv`."""
