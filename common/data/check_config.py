"""Checks a data configuration before any bag is made: its root, and its target among the classes of the data."""

import os
from collections.abc import Callable

from negsift.common.data.config import ROOTS, DataConfig
from negsift.common.errors import BadData, BadInput


def require_root(config: DataConfig) -> None:
    """Raise BadData where the dataset is read from a folder and none is named."""
    if config.name in ROOTS and not config.root:
        raise BadData("no data.root", ROOTS[config.name], "add data.root=FOLDER")


def check_target(config: DataConfig, here: bool = True) -> None:
    """Raise UnknownName or BadInput for a target that is no class of the data, of which only the names are read.

    Data that are not `here`, since a job will read them on another machine, are checked if this one has them, too.
    """
    require_root(config)
    if here or config.root is None or os.path.exists(os.path.expanduser(config.root)):
        _CHECKS.get(config.name, _unknown)(config)
    elif not config.target:
        raise BadInput("no data.target", "a class of the data", "say which class is positive")


def _unknown(config: DataConfig) -> None:
    """Classes of a dataset that has no row below are known once it is loaded."""


# What reads the names is imported when it does: a command that checks nothing starts without it.
def _digits(config: DataConfig) -> None:
    from negsift.common.data.class_names import class_number
    from negsift.common.data.digits import CLASSES

    class_number(config.target, CLASSES)


def _cifar10(config: DataConfig) -> None:
    from negsift.common.data.cifar10 import known_classes
    from negsift.common.data.class_names import class_number

    class_number(config.target, known_classes(config))


def _images(config: DataConfig) -> None:
    from negsift.common.data.class_names import class_number
    from negsift.common.data.images import known_classes

    class_number(config.target, known_classes(config))


def _table(config: DataConfig) -> None:
    from negsift.common.data.table.location import Location
    from negsift.common.data.table.manifest import read_manifest

    location = Location.of(config.root or "")
    read_manifest(location, config.version).class_of(config.target, location.name)


def _clips(config: DataConfig) -> None:
    from negsift.common.data.audioset.classes import clip_class
    from negsift.common.data.audioset.read_clip_lists import read_lists

    clip_class(config.target, read_lists(config)[1])


def _demo_clips(config: DataConfig) -> None:
    from negsift.common.data.audio_demo import VOCABULARY
    from negsift.common.data.audioset.classes import clip_class

    if config.root and os.path.exists(os.path.expanduser(config.root)):
        _clips(config)
    elif config.audio.classes == "all":
        clip_class(config.target, VOCABULARY)


_CHECKS: dict[str, Callable[[DataConfig], None]] = {
    "audio-demo": _demo_clips, "audioset": _clips, "cifar10": _cifar10, "digits": _digits, "images": _images,
    "table": _table,
}  # fmt: skip
