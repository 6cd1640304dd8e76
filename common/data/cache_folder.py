"""The folder of everything that is decoded once and kept."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$NEGSIFT_CACHE`, or else `negsift` in the user's cache folder; a variable that is empty counts as unset."""
    default = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "negsift")
    return Path(os.path.expanduser(os.environ.get("NEGSIFT_CACHE") or default))
