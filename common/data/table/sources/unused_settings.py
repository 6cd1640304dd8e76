"""Refuses settings that bags of a source have no use for, so that none is ignored."""

from collections.abc import Sequence
from dataclasses import fields

from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadInput

OF_CUT_BAGS = ("bag_size", "bag_seed", "views", "prefix")
"""Settings of bags that are made of single images."""
OF_LISTS = ("id_column", "label_column", "group_column", "split_column", "label_separator", "columns")
"""Settings of tables and lists."""
_OF_IMAGES = (*OF_CUT_BAGS, "image_size")
_OF_CLIPS = ("train_set", "sample_rate", "seconds", "mels", "frames")
_OF_FEATURES = ("dtype", "leave_out", "instance_labels")
_UNUSED_BY = {
    "images": (*_OF_CLIPS, *_OF_FEATURES),
    "audio": (*_OF_IMAGES, *_OF_FEATURES),
    "features": (*_OF_IMAGES, *_OF_CLIPS),
    "arrays": (*_OF_IMAGES, *_OF_CLIPS, "leave_out", "instance_labels"),
}


def refuse_unused(config: BuildConfig, kind: str) -> None:
    """Raises BadInput if `config` sets something that sources of this kind don't use."""
    refuse(config, _UNUSED_BY[kind], f"a source of {kind}")


def refuse(config: BuildConfig, names: Sequence[str], bags: str) -> None:
    """Raises BadInput if one of the settings `names`, which `bags` don't use, differs from its default."""
    default = {field.name: field.default for field in fields(config)}
    for name in names:
        value = getattr(config, name)
        if value != default[name]:
            shown = ",".join(value) if isinstance(value, tuple) else value
            raise BadInput(f"{name}={shown} for {bags}", "a setting that it uses", f"leave {name} out")
