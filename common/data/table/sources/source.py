"""The kinds of sources, what a source provides, the split that a file's name states, and the configuration."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from negsift.common.config import check_knobs, knob
from negsift.common.data.audio.config import TRAIN_SETS
from negsift.common.data.config import MOST_PIXELS
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadInput, UnknownName

SOURCES = {
    "images": "a folder of images per class, or a parquet with a column image or img",
    "audio": "AudioSet's lists and a folder of clips, its parquet files, or one such list or file",
    "features": "a CSV or parquet file of features",
    "arrays": "a folder of npy, npz or h5 files, one for each bag, with labels.csv",
}

_SPLIT = re.compile("(?:(?P<test>eval(?:uation)?|test)|(?P<val>val(?:id(?:ation)?)?|dev))(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class BuildConfig:
    """How bags are made from a source."""

    kind: str = knob("auto", "images, audio, features, arrays, or auto: decided by the content of --from")
    dtype: str = knob("float32", "numbers of feature bags: float32, or float16 at half the size")
    id_column: str = knob("bag_id", "column of a CSV or parquet file with the bag's id")
    label_column: str = knob("label", "column of labels; in a CSV `a;b` is two labels, `[]` none, empty unlabeled")
    label_separator: str = knob(";", "what separates the labels of a bag in a column of text")
    labels: str | None = knob(None, "arrays: CSV of the bags' labels; none: labels.csv in the folder")
    bag_size: int = knob(5, "images: instances in a bag", least=1)
    bag_seed: int = knob(0, "images: seed of the shuffle that makes bags")
    views: int = knob(
        0, "images: bags that each image is in, by its row in an instance table; 0: bags contain images",
        least=0, below=10_001,
    )  # fmt: skip
    prefix: str | None = knob(None, "images: beginning of the bags' ids; none: the source's name")
    image_size: int = knob(
        32, "images: height and width that they are resized to when read", least=1, below=MOST_PIXELS
    )
    train_set: str = knob("balanced", "audio: AudioSet's training list: balanced or unbalanced")
    sample_rate: int = knob(16_000, "audio: samples a second that clips are resampled to when read", below=400_000)
    seconds: float = knob(10.0, "audio: seconds that clips are padded with silence or cut to when read")
    mels: int = knob(128, "audio: mel bands", below=1025)
    frames: int = knob(
        1056, "audio: 10 ms frames of a clip's features; missing ones are filled with zeros", below=400_000
    )
    group_mb: float = knob(16, "payload of a row group in MiB, at most 48; shards decode one row group at a time")
    classes: tuple[str, ...] = knob((), "comma-separated labels that may be a target although no bag has them")

    def __post_init__(self) -> None:
        if self.dtype not in ("float16", "float32"):
            raise UnknownName("dtype", self.dtype, ("float16", "float32"))
        if not self.label_separator:
            raise BadInput("label_separator of no character", "at least one, such as ; or ,", "correct it")
        if self.train_set not in TRAIN_SETS:
            raise UnknownName("train_set", self.train_set, TRAIN_SETS)
        if not (self.sample_rate >= 1000 and self.mels >= 4 and self.frames >= 1 and 0.025 <= self.seconds <= 3600):
            found = f"sample_rate={self.sample_rate}, seconds={self.seconds}, mels={self.mels}, frames={self.frames}"
            raise BadInput(found, "1,000 Hz, 0.025 to 3,600 s, 4 mel bands, 1 frame or more", "correct it")
        check_knobs(self)


@dataclass(frozen=True)
class Source:
    """Bags of one payload, some in each table. `dropped` has a line for everything left out, after the last table. Bags
    that refer to an instance table need `images` to be consumed first.
    """

    payload: Payload
    tables: Iterator[pa.Table]
    dropped: list[str] = field(default_factory=list)
    images: Iterator[pa.Table] = field(default_factory=lambda: iter(()))


def split_of(path: Path) -> str:
    """The split that the name of a file states, such as `test-00000-of-00001.parquet`; `train` if it states none."""
    named = _SPLIT.match(path.name)
    return named.lastgroup or "train" if named else "train"
