"""How much memory the decoded bags of a table take, and the smallest budget that a stream of them needs."""

from negsift.common.data.table.decoded_row_group import decoded_bytes, working_bytes
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.manifest import RowGroup
from negsift.common.data.table.row_index import RowIndex
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadInput

READING_BYTES = 72 << 20
"""Measured: the buffers that Arrow and torch keep while they read, decode and score."""
TRANSIENT_GROUPS = 3
"""Row groups of a stream that come and go: the one in use, the one before it, which another thread may still
read, and the next one."""


def row_group_bytes(payload: Payload, group: RowGroup) -> int:
    """Memory for one decoded row group with its row numbers."""
    return decoded_bytes(payload, group.rows, group.instances) + 8 * group.rows


def streaming_bytes(index: RowIndex) -> int:
    """Memory to stream a table's bags when no row group stays in memory. One row group more than `TRANSIENT_GROUPS` is
    counted, for the encoded bytes while they are taken apart. Where bags refer to an instance table, that table is
    counted whole.
    """
    payload, groups = index.manifest.payload, [group for file in index.manifest.files for group in file.groups]
    # Row groups differ in size; any of them may be one of the transient ones.
    largest = max(row_group_bytes(payload, group) for group in groups)
    reading = max(group.size_bytes for group in groups) + READING_BYTES + working_bytes(payload)
    images = 0 if index.images is None else whole_table_bytes(index.images)
    return (TRANSIENT_GROUPS + 1) * largest + reading + images


def whole_table_bytes(index: RowIndex) -> int:
    """Memory to stream a table's bags when every row group stays in memory."""
    groups = [group for file in index.manifest.files for group in file.groups]
    return streaming_bytes(index) + sum(row_group_bytes(index.manifest.payload, group) for group in groups)


def least_budget(index: RowIndex, disk_bytes: int = 8 << 30) -> DecodingBudget:
    """The smallest budget of memory that suffices, with `disk_bytes` of disk."""
    return DecodingBudget(streaming_bytes(index), disk_bytes)


def require_budget(index: RowIndex, budget: DecodingBudget) -> int:
    """`streaming_bytes`; raises BadInput if the budget is smaller."""
    needed = streaming_bytes(index)
    if needed > budget.memory_bytes:
        found = f"a budget of {budget.memory_bytes / 2**20:.0f} MiB for decoded bags"
        remedy = "raise fleet.pool_mb, or build the table with a smaller group_mb"
        raise BadInput(found, f"at least {needed / 2**20:.0f} MiB for row groups of this size", remedy)
    return needed
