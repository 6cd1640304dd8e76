"""The files of a folder and of all below it; a folder that may not be read is an error, not an empty one."""

import os
from collections.abc import Iterator
from pathlib import Path

from negsift.common.errors import BadData


def files_below(folder: Path) -> Iterator[Path]:
    """All that isn't a folder in `folder` and below, links to folders not followed; nothing where there is no folder.

    Raises BadData for a folder that can't be listed: its files would be missing without a word.
    """
    for place, _, names in os.walk(folder, onerror=_refuse):
        yield from (Path(place, name) for name in names)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        found = f"{error.filename}, which can't be listed ({error.strerror})"
        raise BadData(found, "a folder that may be read", "correct its permissions, or remove it") from None
