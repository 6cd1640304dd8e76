"""The splits that names of files and folders state, by the same words everywhere."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from negsift.common.data.images import class_folders
from negsift.common.data.table.schema import SPLITS

_SPLIT = re.compile(
    "(?:(?P<test>eval(?:uation)?|test(?:ing)?)|(?P<val>val(?:id(?:ation)?)?|dev)|(?P<train>train(?:ing)?))(?![a-z])",
    re.IGNORECASE,
)


def split_of(path: Path) -> str:
    """The split that the name of a file states, such as `test-00000-of-00001.parquet`; `train` if it states none."""
    return stated_split(path) or "train"


def stated_split(path: Path) -> str | None:
    """The split that the name of a file states; None if it states none."""
    named = _SPLIT.match(path.name)
    return named.lastgroup if named else None


def folder_split(root: Path, path: Path) -> str | None:
    """The split that the folders of a path below `root` state, the nearest first; None if they state none."""
    return next(filter(None, map(_meaning, reversed(path.parts[len(root.parts) : -1]))), None)


def split_folders(root: Path) -> Sequence[tuple[str, Path]]:
    """The folders in `root` whose names mean splits, with these, training first; `root` itself if there are none."""
    folders = [(split, path) for path in sorted(root.iterdir()) if path.is_dir() and (split := _meaning(path.name))]
    return sorted(folders, key=lambda folder: SPLITS.index(folder[0])) or [(SPLITS[0], root)]


def folders_beside(root: Path) -> list[str]:
    """A line for each visible folder beside those of splits."""
    taken = {path for _, path in split_folders(root)}
    others = [] if root in taken else [name for name in class_folders(root) if root / name not in taken]
    return [f"{name}/: beside the folders of splits" for name in others]


def split_named(word: str) -> str:
    """The split that a word means, such as `validation`; the word itself if it means none."""
    return _meaning(word) or word


@functools.cache  # folders have many files
def _meaning(word: str) -> str | None:
    named = _SPLIT.fullmatch(word)
    return named.lastgroup if named else None
