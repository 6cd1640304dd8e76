"""The ids of a table's bags, and the check that each is unique."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import TableFile
from negsift.common.errors import BadData


def read_ids(location: Location, file: TableFile, groups: Sequence[int]) -> pa.ChunkedArray:
    """The ids of the bags in some of a file's row groups, in order."""
    with location.fs.open_input_file(location.path_of(file.name)) as stream:
        return pq.ParquetFile(stream).read_row_groups(list(groups), columns=["bag_id"])["bag_id"]


def require_unique_ids(location: Location, files: Sequence[TableFile]) -> None:
    """Raise BadData naming an id that occurs twice in `files`. Hashes are compared first, and ids only where hashes
    repeat: this takes 8 bytes a bag, and one file's ids.
    """
    hashes = np.sort(np.concatenate([_hashes(_ids(location, file)) for file in files]))
    repeated_hashes = hashes[1:][hashes[1:] == hashes[:-1]]
    if not len(repeated_hashes):
        return
    suspects: Counter[str] = Counter()
    for file in files:
        ids = _ids(location, file)
        suspects.update(ids.filter(pa.array(np.isin(_hashes(ids), repeated_hashes))).to_pylist())
    repeated = sorted(name for name, times in suspects.items() if times > 1)
    if repeated:
        found = f"bag_id {repeated[0]!r} more than once ({len(repeated)} such ids)"
        raise BadData(found, "a different id for each bag", "rename the bags, or sort rows by bag")


def _ids(location: Location, file: TableFile) -> pa.ChunkedArray:
    return read_ids(location, file, range(len(file.groups)))


def _hashes(ids: pa.ChunkedArray) -> NDArray[np.int64]:
    # Python's hashes of text differ from process to process, but only this process compares them.
    return np.fromiter(map(hash, ids.to_pylist()), dtype=np.int64, count=len(ids))
