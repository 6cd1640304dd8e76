"""The folder of everything that is decoded once and kept."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$NEGSIFT_CACHE`, or else `negsift` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "negsift"
    return Path(os.environ.get("NEGSIFT_CACHE", default))
