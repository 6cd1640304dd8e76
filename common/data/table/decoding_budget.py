"""How much memory and disk the decoded bags of a table may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DecodingBudget:
    """Bytes of memory, and of local disk for row groups decoded before."""

    memory_bytes: int
    disk_bytes: int = 0
