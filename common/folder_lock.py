"""One program at a time in a folder: a lock that ends with the process that holds it, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from negsift.common.errors import BadInput

_WAIT_S = 10.0
"""A process that was killed may need some seconds to be gone, with those that it has started."""
_LOOK_S = 0.1


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that is there. Raises BadInput if another process of this machine does, and goes on.

    On a file system that does not lock folders nobody is kept out.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # of such a file system
            _lock(opened, folder)
        yield
    finally:
        os.close(opened)


def _lock(opened: int, folder: Path) -> None:
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            return fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                remedy = "wait for its end, or choose another --out"
                raise BadInput(f"another program at work in {folder}", "one at a time", remedy) from None
            time.sleep(_LOOK_S)
