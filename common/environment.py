"""The environment of this process, which is the caller's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unchanged_environment() -> Iterator[None]:
    """Within it variables may be set, as Ray does; afterwards they are as before."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
