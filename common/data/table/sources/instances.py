"""From rows that are instances to bags: runs of rows with one bag_id, across the batches they come in."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from negsift.common.data.table.sources.ragged import ragged
from negsift.common.errors import BadData

Rows = tuple[pa.Table, NDArray[np.floating[Any]]]


def group_rows(batches: Iterator[Rows]) -> Iterator[pa.Table]:
    """Tables of whole bags from batches of (named rows, features (M, D)); the last bag of each waits for the next.

    Raises BadData where the rows of a bag disagree on its labels, split or group.
    """
    rest: Rows | None = None
    for named, feats_MD in batches:
        if rest is not None:
            named = pa.concat_tables([rest[0], named]).combine_chunks()
            feats_MD = np.concatenate([rest[1], feats_MD])
        starts = _starts(named)
        last = int(starts[-1])
        rest = named.slice(last), feats_MD[last:]
        if last:
            yield _bags(named.slice(0, last), feats_MD[:last], starts)
    if rest is not None:
        yield _bags(*rest, np.array([0, len(rest[1])]))


def _starts(named: pa.Table) -> NDArray[np.int64]:
    """Where bags begin."""
    ids = named["bag_id"].combine_chunks()
    if ids.null_count:
        before = pc.index(ids.is_null(), True).as_py()
        told = f"{ids.null_count} rows without a bag_id, the first of them after {before} others"
        raise BadData(told, "one in every row", "correct the source")
    changes = np.asarray(pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)))
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def _bags(named: pa.Table, feats_MD: NDArray[np.floating[Any]], offsets: NDArray[np.int64]) -> pa.Table:
    first = named.take(pa.array(np.repeat(offsets[:-1], np.diff(offsets))))
    for name in named.column_names:
        if name != "bag_id" and not first[name].combine_chunks().equals(named[name].combine_chunks()):
            pairs = zip(named["bag_id"].to_pylist(), first[name].to_pylist(), named[name].to_pylist(), strict=True)
            bag, one, other = next(pair for pair in pairs if pair[1] != pair[2])
            raise BadData(f"{name} {one} and {other} for bag {bag!r}", f"one {name} a bag", "correct the source")
    return named.take(pa.array(offsets[:-1])).append_column("features", ragged(feats_MD, offsets))
