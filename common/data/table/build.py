"""Builds a version of a bag table from files on disk."""

from collections.abc import Callable
from pathlib import Path

from negsift.common.data.files_below import files_below
from negsift.common.data.images import IMAGE_ENDINGS
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, versions
from negsift.common.data.table.sources.arrays import ENDINGS, open_arrays
from negsift.common.data.table.sources.clips import is_audioset, open_clips
from negsift.common.data.table.sources.encoded_images import image_column
from negsift.common.data.table.sources.features import open_features
from negsift.common.data.table.sources.images import open_images
from negsift.common.data.table.sources.source import BuildConfig, Source
from negsift.common.data.table.writer import TableWriter
from negsift.common.errors import BadData, BadInput, UnknownName
from negsift.common.regular_file import regular

OPENERS: dict[str, Callable[[Path, BuildConfig], Source]] = {
    "images": open_images,
    "audio": open_clips,
    "features": open_features,
    "arrays": open_arrays,
}


def build_table(where: str | Path | Location, source: Path, config: BuildConfig, append: bool = False) -> Manifest:
    """Build a table from `source`, or with `append` add its bags to the table at `where`; returns the new manifest.
    Raises BadData or BadInput for an unusable source or target folder; then no file is left behind.
    """
    location = Location.of(where)
    if append and not versions(location):
        raise BadInput(f"no bag table at {location.name}", "one to append to", "correct OUT, or leave out --append")
    opened = OPENERS[_kind(source, config)](source, config)
    with TableWriter(location, opened.payload, append=append, group_mb=config.group_mb) as writer:
        writer.declare(config.classes)
        for images in opened.images:
            writer.add_images(images)
        for table in opened.tables:
            writer.add(table)
        writer.leave_out(opened.dropped)
    return writer.manifest


def _kind(source: Path, config: BuildConfig) -> str:
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
    if regular(source).suffix == ".parquet":
        return "images" if image_column(source) else "features"
    if source.suffix == ".csv":
        return "features"
    raise BadData(str(source), "a folder, a .csv or a .parquet", "convert it")


def _kind_of_folder(source: Path) -> str:
    """Arrays, or files in place of arrays beside the labels of bags, or else images."""
    endings = {path.suffix.lower() for path in files_below(source)}
    labeled = (source / "labels.csv").exists() and not endings & IMAGE_ENDINGS
    return "arrays" if labeled or not endings.isdisjoint(ENDINGS) else "images"
