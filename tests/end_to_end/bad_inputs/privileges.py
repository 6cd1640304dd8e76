"""Root may read and write anything; without the capability to do so it is refused as others are."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3, _OVERRIDES = 0x20080522, 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


@contextmanager
def without_privileges(wanted: bool) -> Iterator[None]:
    """Within it, this thread obeys the modes of files and folders, also as root."""
    if not wanted or os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head, sets = (
        (ctypes.c_uint32 * 2)(_VERSION_3, 0),
        (ctypes.c_uint32 * 6)(),
    )  # effective, permitted, inheritable; twice
    assert libc.capget(head, sets) == 0
    effective = sets[0]
    try:
        sets[0] = effective & ~_OVERRIDES
        assert libc.capset(head, sets) == 0
        yield
    finally:
        sets[0] = effective
        libc.capset(head, sets)
