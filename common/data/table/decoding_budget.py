"""The budget of a table's decoded bags."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DecodingBudget:
    """Bytes of memory for decoded row groups, and of local disk to keep them on."""

    memory_bytes: int
    disk_bytes: int = 0
