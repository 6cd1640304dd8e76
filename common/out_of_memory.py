"""Whether an error says that memory ran out. torch is not imported for it: its errors are RuntimeErrors."""

from collections.abc import Iterator
from contextlib import contextmanager

from negsift.common.errors import BadInput

_SIGNS = ("not enough memory", "can't allocate memory", "out of memory")


def lacks_memory(error: Exception) -> bool:
    """Whether memory ran out: Python's, numpy's, CUDA's, or that of torch's allocator."""
    cuda = type(error).__name__ == "OutOfMemoryError"
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and (cuda or any(sign in str(error) for sign in _SIGNS))
    )


@contextmanager
def memory_told(what: str, key: str) -> Iterator[None]:
    """Raise BadInput where memory runs out within it, for `what` is computed there and for the setting `key`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise BadInput(f"no memory for {what} ({reason})", "room for it on the device", f"lower {key}") from error
