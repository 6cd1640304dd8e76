"""The data sets by name. A new one is a module with a function `load(config)`, and a row in `DATASETS`.

`load` returns either training and test instances, training and test clips, or bags that are already split.
"""

from collections.abc import Callable

from negsift.common.data import audio_demo, audioset, cifar10, digits, images
from negsift.common.data.audioset.clips import Clips
from negsift.common.data.audioset.split import split_clips
from negsift.common.data.instances import Instances
from negsift.common.data.split import DataConfig, Split, split_bags
from negsift.common.data.table import split as table_split
from negsift.common.errors import UnknownName

Load = (
    Callable[[DataConfig], tuple[Instances, Instances]]
    | Callable[[DataConfig], tuple[Clips, Clips]]
    | Callable[[DataConfig], Split]
)

DATASETS: dict[str, tuple[Load, str]] = {
    "audio-demo": (audio_demo.load, "synthesised clips, written as FLAC files in AudioSet's form"),
    "audioset": (audioset.load, "AudioSet, or clips in its form, from CSV and files or from parquet in data.root"),
    "cifar10": (cifar10.load, "CIFAR-10 from parquet or python batches in data.root"),
    "digits": (digits.load, "scikit-learn's handwritten digits, embedded"),
    "images": (images.load, "a folder of images per class in data.root"),
    "table": (table_split.load, "a bag table, see `pool build`, in data.root"),
}

CLIPS = ("audio-demo", "audioset")
"""Those whose bags are clips with their sound; a table's are what it holds, the others' are of images."""


def load_split(config: DataConfig) -> Split:
    """The bags that `config` describes. Raises UnknownName for a data set, BadData or BadInput as its `load` does."""
    if config.name not in DATASETS:
        raise UnknownName("dataset", config.name, DATASETS)
    loaded = DATASETS[config.name][0](config)
    if isinstance(loaded, Split):
        return loaded
    train, test = loaded
    if isinstance(train, Clips) and isinstance(test, Clips):
        return split_clips(train, test, config)
    assert isinstance(train, Instances)  # `Load` allows nothing else
    assert isinstance(test, Instances)
    return split_bags(train, test, config)
