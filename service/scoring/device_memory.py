"""The memory of a GPU: the part that a process may take, and the part of that for what is kept."""

import torch

CONTEXT_BYTES = 600 << 20
"""What CUDA takes in each process besides torch's own memory, and outside of its limit."""
_KEPT = 0.5
"""The part of a process's memory for what is kept between batches; the rest is for batches."""


def limit_memory(share: float) -> None:
    """Limit this process to its share of the current GPU, if it has less than a whole one and torch can use it."""
    if share < 1 and torch.cuda.is_available():
        total_bytes = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        torch.cuda.set_per_process_memory_fraction(allowed_fraction(share, total_bytes))


def allowed_fraction(share: float, total_bytes: int) -> float:
    """What torch may take of a GPU for a process of this share, so that CUDA's own memory of each has room as well."""
    return max(share / 2, share - CONTEXT_BYTES / total_bytes)


def kept_bytes(device: torch.device) -> int:
    """The memory of a GPU for features and points that a process keeps on it."""
    total_bytes = torch.cuda.get_device_properties(device).total_memory
    return int(_KEPT * torch.cuda.get_per_process_memory_fraction(device) * total_bytes)
