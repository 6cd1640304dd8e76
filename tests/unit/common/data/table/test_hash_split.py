"""Splits by a hash: how large they are, and that each gets both kinds of bag where there are enough."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from negsift.common.data.table.hash_split import HashSplit, with_both_kinds

SPLITS = ("val", "test")
ALL = ("train", *SPLITS)
BOTH = {part: {False, True} for part in ALL}


def rows(labels: Sequence[bool | None], groups: Sequence[int | None], marks: Sequence[str | None]) -> pa.Table:
    named = [None if is_bird is None else ["bird"] * is_bird for is_bird in labels]
    return pa.table({
        "bag_id": [f"b{row}" for row in range(len(labels))], "labels": pa.array(named, pa.list_(pa.string())),
        "split": pa.array(marks, pa.string()),
        "group_id": pa.array([None if group is None else f"p{group}" for group in groups], pa.string()),
    })  # fmt: skip


def kinds(split: HashSplit, table: pa.Table) -> dict[str, set[bool]]:
    found: dict[str, set[bool]] = {part: set() for part in ALL}
    for part, names in zip(split.assign(table)["split"].to_pylist(), table["labels"].to_pylist(), strict=True):
        if names is not None:
            found[part].add(bool(names))
    return found


@given(st.integers(0, 5), st.floats(0.01, 0.4))
@settings(deadline=None, max_examples=20)
def test_shares_set_aside_are_about_as_large_as_asked(seed: int, share: float) -> None:
    hash_split = HashSplit(SPLITS, share, seed)
    found = np.array([hash_split.split_of(f"bag{number}") for number in range(4_000)])
    for part in SPLITS:
        assert abs((found == part).mean() - share) < 5 * np.sqrt(share / 4_000)


@given(st.data(), st.integers(0, 50), st.floats(0.02, 0.45))
@settings(deadline=None, max_examples=60)
def test_each_split_has_both_kinds_where_three_groups_of_one_kind_each_have_them(
    data: st.DataObject, seed: int, share: float
) -> None:
    flags = data.draw(st.lists(st.booleans(), min_size=6, max_size=40))
    birds = [True] * 3 + [False] * 3 + flags  # a bag is a group
    table = rows(birds, [None] * len(birds), [None] * len(birds))
    first = HashSplit(SPLITS, share, seed)
    found = with_both_kinds(first, "bird", [table.slice(0, 4), table.slice(4)])
    assert kinds(found, table) == BOTH
    assert len(found.moved) <= 6
    if kinds(first, table) == BOTH:
        assert found == first
    stay = [name for name in (f"bag{row}" for row in range(99)) if name not in found.moved]
    assert list(map(found.split_of, stay)) == list(map(first.split_of, stay))


@given(st.data(), st.integers(0, 50))
@settings(deadline=None, max_examples=60)
def test_groups_stay_whole_marked_bags_stay_and_no_kind_is_lost(data: st.DataObject, seed: int) -> None:
    row = st.tuples(st.sampled_from([True, False, None]), st.sampled_from([None, *range(8)]))
    drawn = data.draw(st.lists(row, min_size=1, max_size=30))
    marks = [("val" if group == 0 else None) for _, group in drawn]
    table = rows([birds for birds, _ in drawn], [group for _, group in drawn], marks)
    first = HashSplit(("test",), 0.2, seed)
    found = with_both_kinds(first, "bird", [table])
    parts = found.assign(table)["split"].to_pylist()
    for group in range(8):
        assert len({part for part, (_, of) in zip(parts, drawn, strict=True) if of == group}) <= 1
    assert all(part == "val" for part, mark in zip(parts, marks, strict=True) if mark)
    before, after = kinds(first, table), kinds(found, table)
    assert all(before[part] <= after[part] for part in ALL)


def test_many_groups_are_not_all_held_and_an_early_row_group_is_enough() -> None:
    count = 3_000
    birds = [row in (7, 11, 13) for row in range(count)]
    table = rows(birds, [None] * count, [None] * count)
    found = with_both_kinds(HashSplit(SPLITS, 0.01, 0), "bird", (table.slice(at, 500) for at in range(0, count, 500)))
    assert kinds(found, table) == BOTH

    def first_alone() -> Iterator[pa.Table]:
        yield rows([True, False] * 200, [None] * 400, [None] * 400)
        raise AssertionError("read on")

    assert not with_both_kinds(HashSplit(SPLITS, 0.2, 0), "bird", first_alone()).moved
