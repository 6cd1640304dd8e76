"""Clips for tests: sounds made from numbers, encoded, and laid out as AudioSet is."""

import functools
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from numpy.typing import NDArray

from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.config import DataConfig

RATE = 16_000
HIGH, LOW, NOISE = "/m/high", "/m/low", "/t/dd00001"
SMALL = AudioConfig(classes="all", seconds=1.0, mels=32, frames=128, stats="computed")
NAMES = 'index,mid,display_name\n0,/m/high,"High tone, beep"\n1,/m/low,Low tone\n2,/t/dd00001,Noise\n'


def sound(seconds: float = 1.0, hertz: float = 440.0, rate: int = RATE, seed: int = 0) -> NDArray[np.float64]:
    """A tone with a little noise."""
    times = np.arange(round(seconds * rate)) / rate
    return 0.4 * np.sin(2 * np.pi * hertz * times) + 0.02 * np.random.default_rng(seed).normal(size=len(times))


def encode(samples: NDArray[np.float64], rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def clip_id(number: int) -> str:
    """Ids of every kind: beginning with -, _, Y or a digit, and holding them."""
    return f"{'-_Y9'[number % 4]}a_{number:05d}-_Z"


def tags_of(number: int) -> tuple[str, ...]:
    return [(HIGH,), (LOW,), (NOISE, LOW), (NOISE,), (HIGH, NOISE)][number % 5]


@functools.cache
def encoded_clip(number: int, kind: str = "FLAC") -> bytes:
    hertz = 2500.0 if HIGH in tags_of(number) else 300.0
    return encode(sound(0.6 + number % 5 / 10, hertz, seed=number), kind=kind)


def write_list(path: Path, numbers: Sequence[int], start_s: float = 30.0) -> None:
    lines = ["# Segments", "# num_ytids", "# YTID, start_seconds, end_seconds, positive_labels"]
    times = f"{start_s:.3f}, {start_s + 10:.3f}"
    lines += [f'{clip_id(number)}, {times}, "{",".join(tags_of(number))}"' for number in numbers]
    path.write_text("\n".join(lines) + "\n")


def write_folder(root: Path, train: int = 40, test: int = 20) -> Path:
    """AudioSet's lists, names and a folder of FLAC files."""
    for folder, name, numbers in _parts(train, test):
        (root / folder).mkdir(parents=True)
        write_list(root / name, numbers)
        for number in numbers:
            (root / folder / f"{clip_id(number)}.flac").write_bytes(encoded_clip(number))
    (root / "class_labels_indices.csv").write_text(NAMES)
    return root


def write_parquet(root: Path, train: int = 40, test: int = 20, sources: Mapping[int, bytes] | None = None) -> Path:
    """The same clips as Hugging Face has them, in another order, two files and small row groups for training."""
    human = {HIGH: "High tone, beep", LOW: "Low tone", NOISE: "Noise"}
    for folder, _, numbers in _parts(train, test):
        path = root / {"train": "bal_train", "eval": "eval"}[folder]
        path.mkdir(parents=True)
        mixed = np.random.default_rng(0).permutation(numbers).tolist()
        for part, some in enumerate((mixed[::2], mixed[1::2])):
            audio = [{"bytes": (sources or {}).get(n, encoded_clip(n)), "path": f"{clip_id(n)}.flac"} for n in some]
            labels = [list(tags_of(n)) for n in some]
            names = [[human[tag] for tag in tags] for tags in labels]
            columns = {"video_id": [clip_id(n) for n in some], "audio": audio, "labels": labels, "human_labels": names}
            pq.write_table(pa.table(columns), path / f"{part:02d}.parquet", row_group_size=7)
    return root


def data(root: Path, target: str = HIGH, audio: AudioConfig = SMALL, val_share: float = 0.2) -> DataConfig:
    return DataConfig("audioset", str(root), target, val_share=val_share, audio=audio)


def _parts(train: int, test: int) -> list[tuple[str, str, range]]:
    return [
        ("train", "balanced_train_segments.csv", range(train)),
        ("eval", "eval_segments.csv", range(1000, 1000 + test)),
    ]
