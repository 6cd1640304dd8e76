"""The files that a data set is divided into, and their splits, as on Hugging Face's hub and by `save_to_disk`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from negsift.common.data.arrow_files import ARROW
from negsift.common.data.files_below import endings_below, files_below
from negsift.common.data.numbered_shards import require_all, require_saved
from negsift.common.data.table.schema import SPLITS
from negsift.common.data.table.sources.split_names import folder_split, split_of, stated_split
from negsift.common.errors import BadData


class DataFile(NamedTuple):
    """A file of rows, what ids that are made begin with, and the split that its name or its folder's states."""

    path: Path
    name: str
    split: str | None


def shards(source: Path) -> Sequence[DataFile]:
    """The file at `source`, or the Parquet and Arrow files below that folder: those of training first, then by name.
    Raises BadData for a folder without any, or without some.
    """
    if not source.is_dir():
        return [DataFile(source, source.stem, stated_split(source))]
    paths = sorted(shards_below(source))
    if not paths:
        raise BadData(f"no {', '.join(ARROW)} below {source}", "at least one", "correct --from")
    require_all(paths)
    require_saved(paths, files_below(source))
    files = [_file(source, path) for path in paths]
    return sorted(files, key=lambda file: SPLITS.index(file.split or SPLITS[0]))


def shards_below(folder: Path) -> list[Path]:
    """The files below a folder that have rows of Arrow columns."""
    found = endings_below(folder)
    return [path for ending in ARROW for path in found.get(ending, ()) if is_shard(path)]


def is_shard(path: Path) -> bool:
    """Whether a file has rows of Arrow columns. Files of `datasets`' own cache have not those of its data."""
    return path.suffix.lower() in ARROW and not path.name.startswith("cache-")


def _file(root: Path, path: Path) -> DataFile:
    below = path.relative_to(root)
    return DataFile(path, below.with_suffix("").as_posix(), split_below(below))


def split_below(path: Path) -> str:
    """The split that a path below a source states: what its name says, or else the folder nearest to it."""
    named = split_of(path)
    return folder_split(Path(), path) or named if named == SPLITS[0] else named
