"""The configuration of the data, and the datasets with a line each; `catalogue` has the functions that load them."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from negsift.common.config import check_knobs, knob
from negsift.common.data.audio.config import AudioConfig
from negsift.common.errors import BadData

DATASETS = {
    "audio-demo": "synthesised clips, written as FLAC files in AudioSet's form",
    "audioset": "AudioSet, or clips in its form, from CSV and files or from parquet in data.root",
    "cifar10": "CIFAR-10 from parquet or python batches in data.root",
    "digits": "scikit-learn's handwritten digits, which need no download",
    "images": "a folder of images per class in data.root",
    "table": "a bag table, see `negsift pool build`, in data.root",
}
CLIPS = ("audio-demo", "audioset")
"""Datasets of clips. Those of `table` are whatever the table contains; all others are of images."""
READS = {
    "audio-demo": ("root", "audio"),
    "audioset": ("root", "audio"),
    "cifar10": ("root", "bag_size", "density", "image_size", "download"),
    "digits": ("bag_size", "density", "image_size"),
    "images": ("root", "bag_size", "density", "image_size"),
    "table": ("root", "version"),
}
"""The fields of DataConfig that each dataset reads, besides those that all read."""
ROOTS = {
    "audioset": "the folder with AudioSet's lists and clips",
    "cifar10": "the folder of CIFAR-10",
    "images": "a folder with a sub-folder for each class",
    "table": "the folder or URI of a bag table",
}
"""What `root` has to be, for the datasets that need one."""
MOST_PIXELS = 65_536
"""What the height and width of images are below."""


@dataclass(frozen=True)
class DataConfig:
    """The dataset, and how bags are made of its instances."""

    name: str = knob("digits", "dataset: see `negsift list datasets`")
    root: str | None = knob(None, "folder that the dataset is read from")
    target: str = knob("0", "the positive class, by number or name")
    bag_size: int = knob(5, "instances in a bag", least=1)
    density: str = knob("uniform", "positives in a positive bag: uniform, natural, fixed:m, range:a-b")
    bag_seed: int = knob(0, "seed of the bags and of the validation split, independent of the run's seed")
    val_share: float = knob(0.1, "share of the training bags that is set aside for validation", above=0, below=1)
    image_size: int = knob(32, "height and width that images are resized to", least=1, below=MOST_PIXELS)
    download: bool = knob(False, "let torchvision download CIFAR-10 to data.root")
    version: int | None = knob(None, "version of a bag table; none: the newest one", least=1)
    audio: AudioConfig = field(default_factory=AudioConfig)

    def __post_init__(self) -> None:
        check_knobs(self, "data")

    def reads(self, field: str) -> bool:
        """Whether the dataset depends on that field; one that has no row of them may depend on all."""
        return field in READS.get(self.name, (field,)) or field not in set().union(*READS.values())

    def folder(self, expected: str) -> Path:
        """`root`, with `~` expanded. Raises BadData, which names what is `expected` there, without a root, and for one
        that can't be listed although it may be there.
        """
        if not self.root:
            raise BadData("no data.root", expected, "add data.root=FOLDER")
        folder = Path(os.path.expanduser(self.root))
        try:
            os.scandir(folder).close()
        except (FileNotFoundError, NotADirectoryError):
            return folder  # who reads it says what is missing
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadData(f"data.root={self.root}, unreadable ({reason})", expected, "correct data.root") from None
        return folder
