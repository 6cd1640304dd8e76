"""The kinds of sources, what a source provides, and the configuration."""

import functools
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import pyarrow as pa

from negsift.common.config import check_knobs, knob
from negsift.common.data.audio.config import TRAIN_SETS
from negsift.common.data.config import MOST_PIXELS
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadInput, UnknownName
from negsift.common.regular_file import status_of

T = TypeVar("T")
PART_FILES, _PART_BYTES = 1000, 1 << 28

SOURCES = {
    "images": "images in a folder per class, or with labels=LIST; rows (Hugging Face's shards) of one or of a list",
    "audio": "clips with AudioSet's lists, with labels=LIST, or in a folder per class; rows with a column audio",
    "features": "a CSV, TSV, parquet or arrow file of features, a folder of shards, svm-light, .mat",
    "arrays": "npy, npz, h5 or pt files, one for each bag, with a list of labels; CLAM's and torchmil's folders",
}


@dataclass(frozen=True)
class BuildConfig:
    """How bags are made from a source."""

    kind: str = knob("auto", "images, audio, features, arrays, or auto: decided by the content of --from")
    dtype: str = knob("float32", "numbers of feature bags: float32, or float16 at half the size")
    id_column: str = knob("bag_id", "column of a CSV or parquet file with the bag's id")
    label_column: str = knob("label", "column of labels; in a CSV `a;b` is two labels, `[]` none, empty unlabeled")
    group_column: str = knob("group_id", "column of what a split never cuts, such as the patient")
    split_column: str = knob("split", "column of train, val or test, or words that mean these")
    label_separator: str = knob(";", "what separates the labels of a bag in a column of text")
    columns: tuple[str, ...] = knob(
        (), "names of the columns of a CSV without a header: - leaves one out, * is all others, the features"
    )
    labels: str | None = knob(
        None, "comma-separated lists of labels; none: labels.csv, the only table in the folder, or train.csv, test.csv"
    )
    leave_out: tuple[str, ...] = knob((), "comma-separated columns of a table that are no features")
    instance_labels: bool = knob(False, "labels of a table are those of instances: a bag has all of its instances'")
    key: str | None = knob(
        None, "the array in each file, or the column, that has the features; or the folder of them; none: found"
    )
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


class Stamp(NamedTuple):
    """A regular file as it was before it was read: its path, size in bytes, and time of change."""

    path: str
    size: int
    mtime_ns: int


def stamp(path: Path) -> Stamp:
    """The file's stamp. Raises BadData for what is no regular file."""
    status = status_of(path)
    return Stamp(str(path), status.st_size, status.st_mtime_ns)


class Remark(str):
    """A line about something odd that is taken nevertheless."""


@dataclass(frozen=True)
class Part:
    """A piece of a source. `read` gives tables of its bags, in order, a line for everything in it that is left out, and
    remarks.
    A part of `files` reads nothing else and is pickled to where it is read, without their list, so that parts are read
    side by side.
    """

    read: Callable[[], Iterator[pa.Table | str]]
    files: Sequence[Stamp] = ()

    @functools.cached_property
    def pickled(self) -> bytes:
        """`read`, pickled once: it is what a part is known by, and what is sent."""
        return pickle.dumps(self.read)

    def __reduce__(self) -> tuple[Callable[[bytes], "Part"], tuple[bytes]]:
        return _unpickled, (self.pickled,)


def _unpickled(pickled: bytes) -> Part:
    return Part(pickle.loads(pickled))


@dataclass(frozen=True)
class Source:
    """Bags of one payload in `parts`. `missing` has a line for each item
    that is left out before anything is read, `beside` for each file that is none; `unit` is what the lines count, bags
    or their instances. Bags that refer to an instance table need `images` to be consumed first.
    """

    payload: Payload
    parts: Sequence[Part]
    missing: Sequence[str] = ()
    beside: Sequence[str] = ()
    unit: str = "bags"
    images: Iterator[pa.Table | str] = field(default_factory=lambda: iter(()))


class Piece(NamedTuple, Generic[T]):
    """Items for one part, and the files that they are in."""

    items: Sequence[T]
    files: Sequence[Stamp]


def cut(items: Sequence[T], files_of: Callable[[T], Sequence[Path]]) -> list[Piece[T]]:
    """The items in pieces for one part each, which depend on nothing but their files."""
    pieces, start, files, size, last, stamps = list[Piece[T]](), 0, 0, 0, "", dict[str, Stamp]()
    for place, item in enumerate(items):
        for path in files_of(item):
            files, name = files + 1, str(path)
            if name not in stamps:
                stamps[name] = stamp(path)
            if name != last:  # rows of one file stand together
                size, last = size + stamps[name].size, name
        if files >= PART_FILES or size >= _PART_BYTES or place + 1 == len(items):
            pieces.append(Piece(items[start : place + 1], list(stamps.values())))
            start, files, size, last, stamps = place + 1, 0, 0, "", {}
    return pieces
