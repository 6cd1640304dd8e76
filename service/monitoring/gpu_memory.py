"""The GPU memory of this process."""


def gpu_bytes() -> int | None:
    """The GPU memory that torch holds for this process, in bytes; None where it has used no GPU."""
    import torch  # imported here: coordinators have no torch, which takes seconds

    in_use: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return int(torch.cuda.memory_reserved()) if in_use else None
