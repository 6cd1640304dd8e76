"""The GPU memory of this process."""


def gpu_bytes() -> int | None:
    """The GPU memory that torch holds for this process, in bytes; None where it has used no GPU."""
    import torch  # imported here: coordinators have no torch, which takes seconds

    return int(torch.cuda.memory_reserved()) if torch.cuda.is_initialized() else None
