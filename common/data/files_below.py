"""The visible files of a folder and of all below it; a folder that may not be read is an error, not an empty one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from negsift.common.errors import BadData

_listed: ContextVar[dict[Path, list[Path]] | None] = ContextVar("_listed", default=None)


@contextmanager
def listed_once() -> Iterator[None]:
    """Within it a folder is listed once, however often it is asked for: folders of millions take their time."""
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
        return _walk(folder)
    if folder not in known:
        known[folder] = list(_walk(folder))
    return iter(known[folder])


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = filter(_visible, folders)  # os.walk enters those that stay
        yield from map(Path(place).joinpath, filter(_visible, names))


def _visible(name: str) -> bool:
    return not name.startswith(".")


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        found = f"{error.filename}, which can't be listed ({error.strerror})"
        raise BadData(found, "a folder that may be read", "correct its permissions, or remove it") from None
