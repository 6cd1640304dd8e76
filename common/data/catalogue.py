"""Loads the datasets by name. A new one is a module with `load(config)`, and a row here and in `config.DATASETS`.
`load` returns either training and test instances, training and test clips, or bags that are already split.
"""

from collections.abc import Callable

from negsift.common.data import audio_demo, audioset, cifar10, digits, images
from negsift.common.data.audioset.classes import clip_class
from negsift.common.data.audioset.clips import Clips
from negsift.common.data.audioset.split import split_clips
from negsift.common.data.class_names import class_number
from negsift.common.data.config import DATASETS, DataConfig
from negsift.common.data.instances import Instances
from negsift.common.data.split import Split, split_bags
from negsift.common.data.table import split as table_split
from negsift.common.errors import UnknownName

Load = Callable[[DataConfig], tuple[Instances, Instances] | tuple[Clips, Clips] | Split]
LOADERS: dict[str, Load] = {
    "audio-demo": audio_demo.load,
    "audioset": audioset.load,
    "cifar10": cifar10.load,
    "digits": digits.load,
    "images": images.load,
    "table": table_split.load,
}


def load_split(config: DataConfig) -> Split:
    """The bags that `config` describes. Raises UnknownName for a dataset, BadData or BadInput as its `load` does."""
    if config.name not in DATASETS:
        raise UnknownName("dataset", config.name, DATASETS)
    loaded = LOADERS[config.name](config)
    if isinstance(loaded, Split):
        return loaded
    train, test = loaded
    if isinstance(train, Clips) and isinstance(test, Clips):
        return split_clips(train, test, config)
    assert isinstance(train, Instances)  # `Load` allows nothing else
    assert isinstance(test, Instances)
    return split_bags(train, test, config)


def class_in(split: Split, target: str) -> int:
    """The number of the class that `data.target` means in the data of `split`. Raises UnknownName or BadInput as
    `load_split` does.
    """
    data = split.pool.instances
    return clip_class(target, data.vocabulary) if isinstance(data, Clips) else class_number(target, data.classes)
