"""Rows of instances of which those of a bag stand apart: seen by the ids alone, and put together in memory."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.arrays import Index
from negsift.common.data.table.sources.feature_column import Features
from negsift.common.data.table.sources.shards import DataFile
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.sources.tabular_files import read_ids
from negsift.common.errors import BadData

MOST_BYTES = 2 << 30
"""Of features that are sorted in memory."""
_PIECE_BYTES = 32 << 20
Rows = tuple[pa.Table, Features]
"""A table with `bag_id` and what else is known of each row, and the rows' features (M, D)."""


class Apart(NamedTuple):
    """How many rows the files have, and how many bags whose rows stand apart; 0 where no bag's do."""

    rows: int
    bags: int


def find_apart(files: Sequence[DataFile], config: BuildConfig) -> Apart:
    """Look at the ids of all rows. This takes 8 bytes for each run of rows of one bag."""
    rows, last, starts = 0, None, [np.zeros(0, np.int64)]
    for ids in itertools.chain.from_iterable(read_ids(file.path, config) for file in files):
        firsts = ids.filter(pa.array(_changes(ids, last)))
        starts.append(np.fromiter(map(hash, firsts.to_pylist()), np.int64, len(firsts)))
        rows, last = rows + len(ids), ids[-1] if len(ids) else last
    hashes = np.sort(np.concatenate(starts))
    return Apart(rows, len(np.unique(hashes[1:][hashes[1:] == hashes[:-1]])))


def require_room(apart: Apart, row_bytes: int, source: object) -> None:
    """Raise BadData for more rows than are sorted in memory."""
    if apart.rows * row_bytes > MOST_BYTES:
        found = f"the rows of {apart.bags:,} bags apart in {source}, {apart.rows * row_bytes:,} bytes of features"
        raise BadData(found, f"at most {MOST_BYTES:,} to sort in memory", "sort the rows by bag in the source")


def put_together(batches: Iterator[Rows], rows: int) -> Iterator[Rows]:
    """The rows of whole bags, bags in the order of their first rows, and the rows of each in their own order."""
    tables, place, first = list[pa.Table](), 0, next(batches)
    all_MD = np.empty((rows, first[1].shape[1]), first[1].dtype)
    for table, feats_MD in itertools.chain([first], batches):
        all_MD[place : place + len(table)] = feats_MD
        place += len(table)
        tables.append(table)
    table = pa.concat_tables(tables).combine_chunks()
    order, ends = _order(table["bag_id"])
    most, start = max(1, _PIECE_BYTES // max(1, all_MD.itemsize * all_MD.shape[1])), 0
    while start < rows:
        whole = ends[ends <= start + most]
        end = int(max(whole[-1] if len(whole) else 0, ends[ends > start][0]))
        yield table.take(pa.array(order[start:end])), all_MD[order[start:end]]
        start = end


def _order(ids: pa.ChunkedArray) -> tuple[Index, Index]:
    """The rows bag by bag, and the end of each bag's, (rows,) and (bags,)."""
    codes = ids.combine_chunks().dictionary_encode().indices.to_numpy()  # ids are numbered as they first occur
    return np.argsort(codes, kind="stable").astype(np.int64), np.cumsum(np.bincount(codes)).astype(np.int64)


def _changes(ids: pa.Array, last: pa.Scalar | None) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows begin a run, given the id before them."""
    if not len(ids):
        return np.zeros(0, bool)
    begins = np.ones(len(ids), bool)
    begins[0] = last is None or not ids[0].equals(last)
    begins[1:] = pc.fill_null(pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)), True).to_numpy(
        zero_copy_only=False
    )
    return begins
