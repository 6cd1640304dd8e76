"""Decides what kind of source is at a path, by its content, and opens it."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from negsift.common.data.arrow_files import read_schema
from negsift.common.data.audioset.clip_files import ENDINGS as CLIP_ENDINGS
from negsift.common.data.files_below import endings_below, files_below, listed_once
from negsift.common.data.images import IMAGE_ENDINGS
from negsift.common.data.table.sources.array_file import ENDINGS
from negsift.common.data.table.sources.arrays import open_arrays
from negsift.common.data.table.sources.clips import open_clips
from negsift.common.data.table.sources.encoded_images import image_column
from negsift.common.data.table.sources.features import open_features
from negsift.common.data.table.sources.image_bags import image_lists
from negsift.common.data.table.sources.images import open_images
from negsift.common.data.table.sources.shards import is_shard, shards_below
from negsift.common.data.table.sources.source import BuildConfig, Source
from negsift.common.data.table.sources.tabular_files import is_table
from negsift.common.data.table.sources.tar_shards import first_endings, tar_files
from negsift.common.data.table.sources.unused_settings import refuse, refuse_unused
from negsift.common.errors import BadData, BadInput, UnknownName
from negsift.common.regular_file import regular
from negsift.common.some_of import some_of

OPENERS: dict[str, Callable[[Path, BuildConfig], Source]] = {
    "images": open_images,
    "audio": open_clips,
    "features": open_features,
    "arrays": open_arrays,
}


def open_source(source: Path, config: BuildConfig) -> Source:
    """The bags at `source`. Raises BadData or BadInput for what can't be used."""
    with listed_once(), _uncollected():
        kind = kind_of(source, config)
        refuse_unused(config, kind)
        if has_own_labels(source, kind):
            refuse(config, ("labels",), f"{source}, which has labels of its own")
        return OPENERS[kind](source, config)


def has_own_labels(source: Path, kind: str) -> bool:
    """Whether labels stand in the rows or samples of a source, so that no list is read."""
    if kind == "features" or tar_files(source) or not source.is_dir():
        return True
    return bool(shards_below(source)) and _kind_of_endings(set(endings_below(source))) is None


@contextmanager
def _uncollected() -> Iterator[None]:
    """Within it nothing is searched for cycles: sources make many small objects, all of which stay."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def kind_of(source: Path, config: BuildConfig) -> str:
    """The kind that `config` names, or that the content has. Raises BadData for a path without a kind."""
    if not source.exists():
        raise BadData(f"no file at {source}", "a folder or a file", "correct --from")
    if config.kind not in ("auto", *OPENERS):
        raise UnknownName("kind", config.kind, ("auto", *OPENERS))
    if config.kind != "auto":
        return config.kind
    kind = _kind_of_folder(source, config) if source.is_dir() else _kind_of_file(regular(source), config)
    if kind is None:
        expected = f"one of the kinds {', '.join(OPENERS)}"
        raise BadData(_describe(source), expected, "convert it; `negsift list sources` says to what")
    return kind


def _kind_of_file(path: Path, config: BuildConfig) -> str | None:
    if path.name.endswith("_segments.csv"):
        return "audio"
    if tar_files(path):
        return _kind_of_endings(first_endings(path))
    if is_shard(path):
        return _kind_of_rows(path, config)
    return "features" if is_table(path) else None


def _kind_of_rows(path: Path, config: BuildConfig) -> str:
    schema = read_schema(path)
    if config.key not in (None, *schema.names):
        raise BadInput(f"key={config.key} of {path}", f"one of its columns, {some_of(schema.names)}", "correct key=")
    if image_lists(path, config):
        return "images"
    if "audio" in schema.names and pa.types.is_struct(schema.field("audio").type):
        return "audio"
    return "images" if image_column(schema, config) else "features"


def _kind_of_folder(source: Path, config: BuildConfig) -> str | None:
    """By the first rule that a folder fits."""
    if any(source.glob("[!.]*_segments.csv")):
        return "audio"
    if tar_files(source):
        return _kind_of_endings(first_endings(source))
    endings = set(endings_below(source))
    if not endings.isdisjoint(ENDINGS):
        return "arrays"
    rows = shards_below(source)
    by_files = _kind_of_endings(endings)
    if rows and not (config.labels and by_files):
        return _kind_of_rows(min(rows), config)
    return by_files


def _kind_of_endings(endings: set[str]) -> str | None:
    if not endings.isdisjoint(ENDINGS):
        return "arrays"
    if not endings.isdisjoint(CLIP_ENDINGS):
        return "audio"
    return "images" if endings & IMAGE_ENDINGS else None


def _describe(source: Path) -> str:
    """What is there: three names, and how many files have which ending."""
    if not source.is_dir():
        return f"the file {source}"
    files = sorted(files_below(source))
    if not files:
        return f"no visible file below {source}"
    counts = Counter(path.suffix or "no ending" for path in files).most_common(4)
    names = some_of((path.relative_to(source) for path in files), 3)
    return f"{names} below {source}, in all {', '.join(f'{count} of {ending}' for ending, count in counts)}"
