"""Decides what kind of source is at a path, by its content, and opens it."""

from collections.abc import Callable
from pathlib import Path

from negsift.common.data.files_below import files_below
from negsift.common.data.images import IMAGE_ENDINGS
from negsift.common.data.table.sources.array_file import ENDINGS
from negsift.common.data.table.sources.arrays import open_arrays
from negsift.common.data.table.sources.arrow_files import read_schema
from negsift.common.data.table.sources.clips import is_audioset, open_clips
from negsift.common.data.table.sources.encoded_images import image_column
from negsift.common.data.table.sources.features import open_features
from negsift.common.data.table.sources.images import open_images
from negsift.common.data.table.sources.shards import is_shard
from negsift.common.data.table.sources.source import BuildConfig, Source
from negsift.common.data.table.sources.tabular_files import is_table
from negsift.common.errors import BadData, UnknownName
from negsift.common.regular_file import regular

OPENERS: dict[str, Callable[[Path, BuildConfig], Source]] = {
    "images": open_images,
    "audio": open_clips,
    "features": open_features,
    "arrays": open_arrays,
}


def open_source(source: Path, config: BuildConfig) -> Source:
    """The bags at `source`. Raises BadData or BadInput for what can't be used."""
    return OPENERS[kind_of(source, config)](source, config)


def kind_of(source: Path, config: BuildConfig) -> str:
    """The kind that `config` names, or that the content has. Raises BadData for a path without a kind."""
    if not source.exists():
        raise BadData(f"no file at {source}", "a folder or a file", "correct --from")
    if config.kind not in ("auto", *OPENERS):
        raise UnknownName("kind", config.kind, ("auto", *OPENERS))
    if config.kind != "auto":
        return config.kind
    if is_audioset(source):
        return "audio"
    if source.is_dir():
        return _kind_of_folder(source)
    if is_shard(regular(source)):
        return "images" if image_column(read_schema(source)) else "features"
    if is_table(source):
        return "features"
    raise BadData(str(source), "a folder, a .csv or a .parquet", "convert it")


def _kind_of_folder(source: Path) -> str:
    """Arrays, or files in place of arrays beside the labels of bags, or else images."""
    first = next((path for path in files_below(source) if is_shard(path)), None)
    if first is not None:
        return "images" if image_column(read_schema(first)) else "features"
    endings = {path.suffix.lower() for path in files_below(source)}
    labeled = (source / "labels.csv").exists() and not endings & IMAGE_ENDINGS
    return "arrays" if labeled or not endings.isdisjoint(ENDINGS) else "images"
