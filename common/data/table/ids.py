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


def read_column(location: Location, file: TableFile, groups: Sequence[int], name: str) -> pa.ChunkedArray:
    """A column of some of a file's row groups, in order; nulls where the file has none of that name."""
    with location.fs.open_input_file(location.path_of(file.name)) as stream:
        opened = pq.ParquetFile(stream)
        if name not in opened.schema_arrow.names:
            return pa.chunked_array([pa.nulls(sum(file.groups[group].rows for group in groups))])
        return opened.read_row_groups(list(groups), columns=[name])[name]


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
        raise BadData(found, "a different id for each bag", "rename the bags")


def _ids(location: Location, file: TableFile) -> pa.ChunkedArray:
    return read_column(location, file, range(len(file.groups)), "bag_id")


def _hashes(ids: pa.ChunkedArray) -> NDArray[np.int64]:
    # Python's hashes of text differ from process to process, but only this process compares them.
    return np.fromiter(map(hash, ids.to_pylist()), dtype=np.int64, count=len(ids))
