"""The visible files of a folder and of all below it; a folder that may not be read is an error, not an empty one."""

import operator
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from negsift.common.errors import BadData

_PARTS = operator.attrgetter("parts")
_listed: ContextVar[dict[Path, list[Path]] | None] = ContextVar("_listed", default=None)


@contextmanager
def listed_once() -> Iterator[None]:
    """Within it a folder and all below it are listed once, however often they are asked for."""
    before = _listed.set({})
    try:
        yield
    finally:
        _listed.reset(before)


def files_below(folder: Path) -> Iterator[Path]:
    """All that isn't a folder in `folder` and below, links to folders not followed; nothing where there is no folder.
    Hidden files and folders, such as the `._` files of macOS, are ignored.

    Raises BadData for a folder that can't be listed: its files would be missing without a word.
    """
    known = _listed.get()
    if known is None:
        return (path for _, paths in _walk(folder) for path in paths)
    if folder not in known:
        known |= _all_below(folder)
    return iter(known[folder])


def in_order(paths: Iterable[Path]) -> list[Path]:
    """The paths in their own order, by the parts that they compare: this takes a tenth of the time."""
    return sorted(paths, key=_PARTS)


def name_below(root: Path, path: Path) -> str:
    """What a path below `root` is called there, as `relative_to` says in ten times the time."""
    return "/".join(path.parts[len(root.parts) :])


def _all_below(folder: Path) -> dict[Path, list[Path]]:
    """The files below a folder, and those below each folder in it."""
    found: dict[Path, list[Path]] = {folder: []}
    for place, paths in _walk(folder):
        for around in (place, *place.parents):
            found.setdefault(around, []).extend(paths)
            if around == folder:
                break
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder with the files in it."""
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = filter(_visible, folders)  # os.walk enters those that stay
        here = Path(place)
        yield here, [here / name for name in filter(_visible, names)]


def _visible(name: str) -> bool:
    return not name.startswith(".")


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        found = f"{error.filename}, which can't be listed ({error.strerror})"
        raise BadData(found, "a folder that may be read", "correct its permissions, or name another folder") from None
