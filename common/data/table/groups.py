"""The check that no group of bags, such as those of a patient, is in two splits."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.data.table.ids import read_column
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import TableFile
from negsift.common.data.table.schema import SPLITS
from negsift.common.errors import BadData


def require_whole_groups(location: Location, files: Sequence[TableFile]) -> None:
    """Raise BadData naming a group that is in two splits of `files`; bags of no split count for training. This takes
    16 bytes for each group of a file.
    """
    seen = np.zeros((0, 2), np.int64)
    for file in files:
        pairs = _pairs(location, file).to_pydict()
        hashes = [(hash(group), SPLITS.index(split)) for group, split in zip(*pairs.values(), strict=True)]
        seen = np.unique(np.concatenate([seen, np.array(hashes, np.int64).reshape(-1, 2)]), axis=0)
    cut = seen[1:, 0][seen[1:, 0] == seen[:-1, 0]]
    if not len(cut):
        return
    splits = dict[str, set[str]]()
    for file in files:
        for group, split in zip(*_pairs(location, file).to_pydict().values(), strict=True):
            if hash(group) in cut:
                splits.setdefault(group, set()).add(split)
    for group, some in splits.items():
        if len(some) > 1:
            both = " and ".join(split for split in SPLITS if split in some)
            remedy = "correct the splits, or name another column: group_column=NAME"
            raise BadData(f"bags of group_id {group!r} in {both}", "every group in one split", remedy)


def _pairs(location: Location, file: TableFile) -> pa.Table:
    """Each pair of group and split in a file, once."""
    groups = range(len(file.groups))
    columns = [read_column(location, file, groups, name).cast(pa.string()) for name in ("group_id", "split")]
    table = pa.table([columns[0], pc.fill_null(columns[1], SPLITS[0])], ["group_id", "split"])
    return table.filter(pc.is_valid(table["group_id"])).group_by(["group_id", "split"]).aggregate([])
