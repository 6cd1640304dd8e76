"""Bags of a table as a dataset: which ones, in which order, from which file system."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.fs as pafs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Subset

from negsift.common.data.table.bags import open_pool, open_positives
from negsift.common.data.table.location import Location
from negsift.common.errors import BadData, BadInput, UnknownName
from tests.unit.tables import as_table, assert_bags, negatives, random_bags, third_positive, write

COUNT = 60
BAGS, LABELS = random_bags(COUNT), third_positive(COUNT)


@pytest.fixture
def where(tmp_path: Path) -> Location:
    return write(tmp_path / "pool", as_table(BAGS, LABELS))


def test_the_pool_is_the_negative_bags_in_the_tables_order(where: Location) -> None:
    pool = open_pool(where, "bird")
    assert_bags(list(pool), negatives(BAGS, LABELS))
    assert pool.bag_id(np.arange(len(pool))) == [f"b{number}" for number in range(COUNT) if number % 3]
    assert len(pool.manifest.groups) > 3


def test_positives_are_the_other_bags(where: Location) -> None:
    found = open_positives(where, "bird")
    assert_bags(list(found), [bag.astype(np.float32) for bag in BAGS[::3]])


def test_ids_come_in_the_order_asked(where: Location) -> None:
    assert open_pool(where, "bird").bag_id(np.array([7, 0, 39, 0])) == ["b11", "b1", "b59", "b1"]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@given(data=st.data())
def test_what_is_written_is_read_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, dtype: str, data: Any) -> None:
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
    numbers = data.draw(st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
    bags = [np.resize(np.array(numbers, dtype), (size, 3)) for size in sizes]
    labels = data.draw(st.lists(st.sampled_from([None, [], ["cat"]]), min_size=len(bags), max_size=len(bags)))
    table = write(tmp_path_factory.mktemp("t") / "pool", as_table(bags, [*labels[:-1], ["bird"]]), group_mb=1e-5)
    if kept := negatives(bags, [*labels[:-1], ["bird"]]):
        assert_bags(list(open_pool(table, "bird")), kept)


@pytest.mark.parametrize("split", ["val", "test"])
def test_bags_of_other_splits_are_never_in_the_pool(tmp_path: Path, split: str) -> None:
    splits = [split if number % 5 == 0 else "train" if number % 2 else None for number in range(COUNT)]
    table = write(tmp_path / "pool", as_table(BAGS, LABELS, split=splits))
    names = open_pool(table, "bird").bag_id(np.arange(32))
    assert names == [f"b{number}" for number in range(COUNT) if number % 3 and number % 5]


def test_unlabeled_bags_are_neither_negative_nor_positive(tmp_path: Path) -> None:
    labels = [None if number % 4 == 1 else names for number, names in enumerate(LABELS)]
    table = write(tmp_path / "pool", as_table(BAGS, labels))
    assert_bags(list(open_pool(table, "bird")), negatives(BAGS, labels))
    assert len(open_positives(table, "bird")) == sum("bird" in (names or ()) for names in labels)


def test_a_table_without_labels_needs_no_target(tmp_path: Path) -> None:
    table = write(tmp_path / "pool", as_table(BAGS, [[]] * COUNT))
    assert len(open_pool(table)) == COUNT


def test_a_forgotten_target_is_reported(where: Location) -> None:
    with pytest.raises(BadInput, match="no target_label; expected one of bird, cat"):
        open_pool(where)


def test_a_misspelt_target_is_reported(where: Location) -> None:
    with pytest.raises(UnknownName, match="target_label 'brid'; expected one of bird, cat; did you mean 'bird'"):
        open_pool(where, "brid")


def test_a_pool_without_bags_is_reported(tmp_path: Path) -> None:
    table = write(tmp_path / "pool", as_table(BAGS, [["bird"]] * COUNT))
    with pytest.raises(BadData, match="no training bag negative for 'bird' among 60"):
        open_pool(table, "bird")


def test_appending_leaves_positions_as_they_are(where: Location) -> None:
    before = open_pool(where, "bird")
    more = random_bags(30, seed=1)
    write(where, as_table(more, third_positive(30), first=COUNT), append=True)
    after = before.at(None)
    assert (before.version, after.version) == (1, 2)
    assert_bags(list(after), negatives(BAGS, LABELS) + negatives(more, third_positive(30)))
    assert_bags(list(after.at(1)), negatives(BAGS, LABELS))
    assert after.row_index.masks == open_pool(where, "bird").row_index.masks


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_reads_chosen_bags(where: Location, workers: int) -> None:
    pool, index = open_pool(where, "bird"), np.array([30, 2, 17])
    assert_bags(list(pool)[:1], negatives(BAGS, LABELS)[:1])  # threads of this process must not be a worker's
    loader = DataLoader(Subset(pool, index), batch_size=None, num_workers=workers)
    assert_bags(list(loader), [negatives(BAGS, LABELS)[place] for place in index])


def test_many_bags_are_read_in_the_order_asked(where: Location) -> None:
    found = open_pool(where, "bird").__getitems__([39, 0, 20, 0])
    assert_bags(found, [negatives(BAGS, LABELS)[place] for place in (39, 0, 20, 0)])


def test_bags_survive_pickling(where: Location) -> None:
    pool = open_pool(where, "bird")
    assert torch.equal(pickle.loads(pickle.dumps(pool))[5], pool[5])


def test_positions_are_those_of_a_sequence(where: Location) -> None:
    pool = open_pool(where, "bird")
    assert torch.equal(pool[-1], pool[39])
    with pytest.raises(IndexError, match="bag 40 of 40"):
        pool[40]


def places(root: Path) -> dict[str, Any]:
    return {
        "path": root / "a", "text": str(root / "b"), "URI": f"file://{root}/c",
        "sub-tree": Location(pafs.SubTreeFileSystem(str(root), pafs.LocalFileSystem()), "d", "d"),
        "mock": Location(pafs._MockFileSystem(), "e/f", "mock"),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["path", "text", "URI", "sub-tree", "mock"])
def test_a_table_lies_on_any_file_system(tmp_path: Path, kind: str) -> None:
    where = places(tmp_path)[kind]
    write(where, as_table(BAGS, LABELS))
    write(where, as_table(BAGS, LABELS, first=COUNT), append=True)
    pool = open_pool(where, "bird")
    assert_bags(list(pool), negatives(BAGS, LABELS) * 2)
    assert pool.bag_id(np.array([79])) == ["b119"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere", "no bag table at nowhere; expected a folder with a manifest; make one with `pool build`"),
        ("s4://me:secret@there/x", r"s4://there/x, which can't be opened \(Unrecognized"),
        ("file:///nowhere/at/all", "no bag table at file:///nowhere/at/all"),
    ],
)
def test_a_place_without_a_table_is_reported(where: str, message: str) -> None:
    with pytest.raises(BadData, match=message):
        open_pool(where, "bird")
