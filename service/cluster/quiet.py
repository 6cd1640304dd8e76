"""Keeps a line that other people's libraries write to the terminal out of it."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2


@contextmanager
def without_line(text: str) -> Iterator[None]:
    """What is written to standard error meanwhile appears afterwards, but for lines that hold `text`.

    It works on the file descriptor, so that it meets what C++ writes, too.
    """
    sys.stderr.flush()
    outside = os.dup(_STDERR)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(outside, _STDERR)
            os.close(outside)
            held.seek(0)
            for line in held:
                if text.encode() not in line:
                    os.write(_STDERR, line)
