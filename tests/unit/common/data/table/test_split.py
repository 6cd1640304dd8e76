"""Bag tables as training data: the sets of a target, the held-out bags, bags in any order."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from negsift.common.data.bagset import BagBatch
from negsift.common.data.catalogue import load_split
from negsift.common.data.config import DataConfig
from negsift.common.data.split import Split
from negsift.common.data.table.build import build_table
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.table_set import TableSet
from negsift.common.errors import BadData, BadInput, UnknownName
from tests.unit.clip_tables import build
from tests.unit.clips import write_folder
from tests.unit.tables import as_table, random_bags, third_positive, write

COUNT = 240
BAGS = random_bags(COUNT)
LABELS = [None if number % 20 == 19 else names for number, names in enumerate(third_positive(COUNT))]
MARKS = [("train", "val", "test", None)[number % 4] for number in range(COUNT)]
GROUPS = [None if number % 5 == 0 else f"patient{number // 6}" for number in range(COUNT)]


def split_of(where: Path, **more: object) -> Split:
    return load_split(DataConfig(name="table", root=str(where), target="bird", **more))  # type: ignore[arg-type]


def names(bags: object) -> list[str]:
    assert isinstance(bags, TableSet)
    return bags.bag_id(np.arange(len(bags)))


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("marked") / "bags"
    write(where, as_table(BAGS, LABELS, split=pa.array(MARKS)))
    return where


@pytest.fixture(scope="module")
def unmarked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("unmarked") / "bags"
    write(where, as_table(BAGS, LABELS, group_id=pa.array(GROUPS)))
    return where


def test_sets_follow_the_column_and_leave_out_unlabeled_bags(marked: Path) -> None:
    def expected(parts: tuple[str | None, ...], positive: bool) -> list[str]:
        rows = zip(range(COUNT), MARKS, LABELS, strict=True)
        return [f"b{row}" for row, part, of in rows if of is not None and part in parts and ("bird" in of) == positive]

    found = split_of(marked)
    assert names(found.positives) == expected(("train", None), True)
    assert names(found.pool) == expected(("train", None), False)
    assert names(found.val) == expected(("val",), False) + expected(("val",), True)
    assert names(found.test) == expected(("test",), False) + expected(("test",), True)
    assert found.val.label.tolist() == [0] * len(expected(("val",), False)) + [1] * len(expected(("val",), True))


def test_whole_groups_are_set_aside_and_each_bag_is_in_one_set(unmarked: Path) -> None:
    found = split_of(unmarked, val_share=0.2)
    sets = [names(found.positives) + names(found.pool), names(found.val), names(found.test)]
    assert sorted([*sets[0], *sets[1], *sets[2]]) == sorted(
        f"b{row}" for row in range(COUNT) if LABELS[row] is not None
    )
    where = {name: number for number, part in enumerate(sets) for name in part}
    for group in set(GROUPS) - {None}:
        members = {where[f"b{row}"] for row in range(COUNT) if GROUPS[row] == group and LABELS[row] is not None}
        assert len(members) == 1
    assert min(map(len, sets)) > 10


def test_appended_bags_do_not_change_which_bags_are_set_aside(tmp_path: Path) -> None:
    write(tmp_path / "bags", as_table(BAGS, LABELS))
    before = [names(part) for part in (split_of(tmp_path / "bags").val, split_of(tmp_path / "bags", bag_seed=1).val)]
    assert before[0] != before[1]
    write(tmp_path / "bags", as_table(BAGS, LABELS, first=COUNT), append=True)
    after, pinned = split_of(tmp_path / "bags").val, split_of(tmp_path / "bags", version=1).val
    assert [name for name in names(after) if name in before[0]] == before[0] == names(pinned)
    assert len(after) > len(pinned)


@pytest.mark.parametrize("loaded", [False, True], ids=["on disk", "in memory"])
def test_bags_come_in_any_order_and_as_often_as_asked(marked: Path, loaded: bool) -> None:
    val = split_of(marked).val
    assert isinstance(val, TableSet)
    bags = val.loaded() if loaded else val
    index = np.array([len(val) - 1, 0, 5, 5, len(val) - 2, 1])
    expected = [BAGS[int(names(val)[at][1:])].astype(np.float32) for at in index]
    batch = bags.gather(index)
    assert isinstance(batch, BagBatch)
    np.testing.assert_array_equal(batch.instances.numpy(), np.concatenate(expected))
    assert batch.sizes.tolist() == [len(bag) for bag in expected]
    some = bags.subset(index)
    assert some.label.tolist() == val.label[index].tolist()
    np.testing.assert_array_equal(some[3][0].numpy(), expected[3])


def test_joined_bags_keep_their_names_and_labels_in_memory(marked: Path) -> None:
    found = split_of(marked)
    both = found.positives.joined(found.pool.subset(np.array([3, 1])))
    assert isinstance(both, TableSet)
    assert both.in_memory is not None
    assert names(both) == names(found.positives) + [names(found.pool)[at] for at in (3, 1)]
    assert both.label.tolist() == [1] * len(found.positives) + [0, 0]
    last = both.gather(np.array([len(both) - 1]))
    assert isinstance(last, BagBatch)
    np.testing.assert_array_equal(last.instances.numpy(), BAGS[int(names(both)[-1][1:])].astype(np.float32))


def test_clips_have_their_tables_form_and_positives_statistics(tmp_path: Path) -> None:
    where = build(write_folder(tmp_path / "clips"), tmp_path / "table")
    found = load_split(DataConfig(name="table", root=where.name, target="Low tone", val_share=0.3, bag_seed=3))
    assert isinstance(found.positives, TableSet)
    form, clips = found.positives.form, found.positives.gather(np.arange(len(found.positives)))
    assert form is not None
    assert isinstance(clips, torch.Tensor)
    assert clips.shape[1:] == (form.frames, form.mels)
    real = clips[:, : int((clips[0].abs().sum(1) > 0).nonzero().max()) + 1].double()
    assert form.mean == pytest.approx(float(real.mean()), abs=1e-3)
    assert form.std == pytest.approx(float(real.std(correction=0)), rel=1e-3)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"root": None}, BadInput, "no data.root; expected the folder or URI of a bag table"),
        ({"root": "/nowhere"}, BadData, "no bag table at /nowhere"),
        ({"target": "cow"}, UnknownName, "data.target 'cow'; expected one of bird, cat"),
        ({"version": 9}, BadData, "no version 9 of .*; expected one of 1 to 1"),
        ({"val_share": 0.5}, BadInput, "data.val_share=0.5 for each of 2 splits; expected less than all bags"),
    ],
)  # fmt: skip
def test_unusable_tables_and_settings_are_reported(
    change: dict[str, object], kind: type[Exception], message: str, unmarked: Path
) -> None:
    given = {"name": "table", "root": str(unmarked), "target": "bird"} | change
    with pytest.raises(kind, match=message):
        load_split(DataConfig(**given))  # type: ignore[arg-type]  # of many types


def test_a_part_without_a_kind_of_bag_is_reported(tmp_path: Path) -> None:
    write(
        tmp_path / "bags", as_table(BAGS[:9], [["bird"]] * 3 + [[]] * 6, split=pa.array(["train", "test", "val"] * 3))
    )
    split_of(tmp_path / "bags")
    write(tmp_path / "few", as_table(BAGS[:9], [["bird"]] + [[]] * 8, split=pa.array(["train", "test", "val"] * 3)))
    with pytest.raises(BadData, match="no validation bag positive for 'bird' among 9"):
        split_of(tmp_path / "few")


def test_a_table_of_one_group_is_told_that_groups_stay_whole(tmp_path: Path) -> None:
    write(tmp_path / "bags", as_table(BAGS[:9], [["bird"]] * 3 + [[]] * 6, group_id=pa.array(["a"] * 9)))
    with pytest.raises(BadData, match="no .* bag .* among 9 in .*; bags of one group_id stay together"):
        split_of(tmp_path / "bags")


def test_few_bags_have_both_kinds_in_each_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for seed in range(6):
        where = tmp_path / str(seed)
        write(where, as_table(BAGS[:30], [["bird"] if number % 9 == 0 else [] for number in range(30)]))
        with caplog.at_level("INFO"):
            found = split_of(where, bag_seed=seed)
        kinds = [set(found.val.label), set(found.test.label)]
        assert kinds == [{0, 1}, {0, 1}]
        assert len(found.positives)
        sets = (found.positives, found.pool, found.val, found.test)
        assert sorted(name for part in sets for name in names(part)) == sorted(f"b{number}" for number in range(30))
        assert caplog.messages[-1].startswith("no bag is marked val or test: 10 % of the groups are set aside for each")
    assert "moved, so that each has positive and negative bags" in "".join(caplog.messages)


def test_images_in_several_bags_are_not_set_aside(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("bird", "cat"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(40):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    for views, message in ((1, None), (2, "images shared by bags of .* no bag marked val or test")):
        where = tmp_path / f"views{views}"
        build_table(where, tmp_path / "photos", BuildConfig(bag_size=2, image_size=8, views=views))
        if message is None:
            split_of(where, val_share=0.3)
        else:
            with pytest.raises(BadData, match=message):
                split_of(where)


def test_bags_in_memory_are_sent_once(marked: Path) -> None:
    val = split_of(marked).val
    assert isinstance(val, TableSet)
    loaded = val.loaded()
    assert loaded.in_memory is not None
    sent = pickle.dumps(loaded)
    assert len(sent) - len(pickle.dumps(val)) < 1.5 * sum(bag.nbytes for bag in loaded.in_memory) + 2000
    found = pickle.loads(sent)
    assert all(map(torch.equal, found.in_memory, loaded.in_memory))
    assert torch.equal(found.joined(found).gather(np.array([3])).instances, loaded.gather(np.array([3])).instances)
