"""Whether an error says that memory ran out. torch is not imported for it: its errors are RuntimeErrors."""

_SIGNS = ("not enough memory", "can't allocate memory", "out of memory")


def lacks_memory(error: Exception) -> bool:
    """Whether memory ran out: Python's, numpy's, CUDA's, or that of torch's allocator."""
    cuda = type(error).__name__ == "OutOfMemoryError"
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and (cuda or any(sign in str(error) for sign in _SIGNS))
    )
