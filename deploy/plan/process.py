"""This process while it measures: the peak of its memory, and a cache of its own."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Peak:
    """The peak of this process's resident memory from now on; where the kernel does not reset it, since it began."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmRSS")

    def beyond(self, known: float) -> float:
        """The bytes that it has exceeded the memory at first by, less those that are known."""
        return max(0.0, _status("VmHWM") - self._before - known)


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) * 1024
    return 0.0


@contextmanager
def own_cache() -> Iterator[None]:
    """A cache of decoded row groups that ends with the measurement."""
    before = os.environ.get("NEGSIFT_CACHE")
    with tempfile.TemporaryDirectory(prefix="negsift-plan-") as folder:
        os.environ["NEGSIFT_CACHE"] = folder
        try:
            yield
        finally:
            os.environ.pop("NEGSIFT_CACHE")
            if before is not None:
                os.environ["NEGSIFT_CACHE"] = before
