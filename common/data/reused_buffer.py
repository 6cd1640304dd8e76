"""Memory that a thread fills again and again, since new memory for each batch costs more than the copy into it."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_ALIGNED = 64


class ReusedBuffer(threading.local):
    """One array of bytes for each thread, which grows with what is asked for."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, dtype=np.uint8)

    def of(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:  # Any: of that dtype
        """An array whose values are what was there last, at an address that is a multiple of 64; valid until the next
        call in this thread.
        """
        size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if len(self._bytes) < size_bytes:
            memory = np.empty(size_bytes + _ALIGNED, dtype=np.uint8)
            start = -memory.ctypes.data % _ALIGNED
            self._bytes = memory[start : start + size_bytes]
        return self._bytes[:size_bytes].view(dtype).reshape(shape)
