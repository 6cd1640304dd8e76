"""The folder of everything that is decoded once and kept, and how a file gets there."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """`$NEGSIFT_CACHE`, or else `negsift` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "negsift"
    return Path(os.environ.get("NEGSIFT_CACHE", default))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden path to write to, which then replaces `path`, so that a killed process leaves no partial file there."""
    unfinished = path.with_name(f".making-{uuid.uuid4().hex}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
