"""Turns rows that are instances into bags: consecutive rows with the same bag_id, across batches."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.arrays import Index
from negsift.common.data.table.sources.feature_column import Features, feature_column
from negsift.common.errors import BadData


def group_rows(batches: Iterator[tuple[pa.Table, Features]]) -> Iterator[pa.Table]:
    """Tables of complete bags, from batches of (table with a row for each instance, features (M, D)). The last bag of a
    batch may continue in the next one, so it is kept back until then. Raises BadData where the rows of a bag disagree
    on its labels, split or group.
    """
    rest: tuple[pa.Table, Features] | None = None
    for table, feats_MD in batches:
        if rest is not None:
            table = pa.concat_tables([rest[0], table]).combine_chunks()
            feats_MD = np.concatenate([rest[1], feats_MD])
        # The last bag may go on in the next batch.
        starts = _starts(table)
        last = int(starts[-1])
        rest = table.slice(last), feats_MD[last:]
        if last:
            yield _bags(table.slice(0, last), feats_MD[:last], starts)
    if rest is not None:
        yield _bags(*rest, np.array([0, len(rest[1])]))


def _starts(table: pa.Table) -> Index:
    """The first row of each bag."""
    ids = table["bag_id"].combine_chunks()
    if ids.null_count:
        before = pc.index(ids.is_null(), True).as_py()
        found = f"{ids.null_count} rows without a bag_id, the first one after {before} others"
        raise BadData(found, "a bag_id in every row", "correct the source")
    changes = np.asarray(pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)))
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def _bags(table: pa.Table, feats_MD: Features, offsets: Index) -> pa.Table:
    first = table.take(pa.array(np.repeat(offsets[:-1], np.diff(offsets))))
    for name in table.column_names:
        if name != "bag_id" and not first[name].combine_chunks().equals(table[name].combine_chunks()):
            pairs = zip(table["bag_id"].to_pylist(), first[name].to_pylist(), table[name].to_pylist(), strict=True)
            bag, one, other = next(pair for pair in pairs if pair[1] != pair[2])
            raise BadData(f"{name} {one} and {other} for bag {bag!r}", f"one {name} for a bag", "correct the source")
    return table.take(pa.array(offsets[:-1])).append_column("features", feature_column(feats_MD, offsets))
