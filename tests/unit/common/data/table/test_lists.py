"""What a list says of the files beside it, by one rule for arrays, images and clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from negsift.common.errors import BadData
from tests.unit.clips import SMALL, encoded_clip
from tests.unit.sources import built, npy, png

CONTENT = {".npy": npy(np.ones((2, 3), np.float32)), ".png": png(7), ".flac": encoded_clip(0)}
FORM = {"seconds": SMALL.seconds, "mels": SMALL.mels, "frames": SMALL.frames}
ENDINGS = pytest.mark.parametrize("ending", CONTENT)


def beside(root: Path, ending: str, names: Sequence[str], **lists: str) -> Path:
    """A folder with files of these names, and with lists of these texts."""
    for name in names:
        path = root / "in" / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT[ending])
    for name, text in lists.items():
        (root / "in" / f"{name}.csv").write_text(text)
    return root / "in"


def rows_of(source: Path, **settings: Any) -> list[dict[str, Any]]:
    """The bags of a table that is built from `source`, clips in a small form."""
    return built(source, **(FORM if any(source.rglob("*.flac")) else {}) | settings)


def made(source: Path, **settings: Any) -> list[tuple[Any, ...]]:
    """The labels and the split of each bag, in order."""
    found = rows_of(source, **settings)
    return sorted(((bag["labels"], bag["split"]) for bag in found), key=str)


def rows(*pairs: tuple[str, str]) -> str:
    return "bag_id,label\n" + "".join(f"{id},{label}\n" for id, label in pairs)


FAR = {
    "other ids": "x{}",
    "absolute paths": "/data/s{}",
    "a folder too many": "far/s{}",
    "zeros lost": "{}",
    "capitals": "S{}",
}


@pytest.mark.parametrize("names", FAR.values(), ids=FAR)
@ENDINGS
def test_a_list_of_other_files_is_refused(ending: str, names: str, tmp_path: Path) -> None:
    ids = [f"s{number}" for number in range(6)]
    far = rows(("s0", "cat"), *((names.format(number), "dog") for number in range(1, 4)))
    with pytest.raises(BadData, match=r"3 of 4 (rows of .*labels.csv without a file|clips missing)"):
        rows_of(beside(tmp_path, ending, ids, labels=far))
    assert not (tmp_path / "table").exists()


@ENDINGS
def test_a_list_beside_folders_names_their_files_by_path(ending: str, tmp_path: Path) -> None:
    names = [f"{site}/{number}" for site in ("siteA", "siteB") for number in range(2)]
    labels = rows(*((f"{name}{ending}", "cat" if name.endswith("0") else "dog") for name in names))
    found = made(beside(tmp_path, ending, names, labels=labels))
    assert [names for names, _ in found] == [["cat"]] * 2 + [["dog"]] * 2


@ENDINGS
def test_a_list_of_folders_is_refused(ending: str, tmp_path: Path) -> None:
    names = [f"slide{slide}/{slide}{number}" for slide in range(2) for number in range(2)]
    with pytest.raises(BadData, match=r"2 of 2 rows of .*labels.csv without a file \(first: slide0\)|no clip of"):
        made(beside(tmp_path, ending, names, labels=rows(("slide0", "cat"), ("slide1", "dog"))))


@ENDINGS
def test_a_split_is_that_of_the_row_or_else_of_the_list_or_else_of_the_folder(ending: str, tmp_path: Path) -> None:
    names = ["train/a", "test/b", "validation/more/c", "d"]
    some = beside(tmp_path, ending, names, labels=rows(*((name[-1], name[-1]) for name in names)))
    folders = {labels[0]: split for labels, split in made(some)}
    assert folders == {"a": "train", "b": "test", "c": "val", "d": None if ending == ".npy" else "train"}
    (some / "labels.csv").rename(some / "eval.csv")
    (tmp_path / "table").rename(tmp_path / "before")
    assert {split for _, split in made(some)} == {"test"}
    (some / "eval.csv").write_text("bag_id,label,split\n" + "".join(f"{name[-1]},x,val\n" for name in names))
    (tmp_path / "table").rename(tmp_path / "again")
    assert {split for _, split in made(some)} == {"val"}


@ENDINGS
@pytest.mark.parametrize("stated", [True, False])
def test_lists_of_splits_are_one_list(ending: str, stated: bool, tmp_path: Path) -> None:
    lists = {"train": rows(("a", "cat"), ("b", "dog")), "test": rows(("c", "dog"))}
    source = beside(tmp_path, ending, ["a", "b", "c"], **lists)
    words = {"labels": f"{source}/train.csv,{source}/test.csv"} if stated else {}
    assert made(source, **words) == [(["cat"], "train"), (["dog"], "test"), (["dog"], "train")]


@ENDINGS
def test_a_bag_without_a_label_in_the_list_is_unlabeled(ending: str, tmp_path: Path) -> None:
    found = rows_of(beside(tmp_path, ending, "abc", labels=rows(("a", "cat"), ("b", ""), ("c", "[]"))))
    assert {str(bag["labels"]) for bag in found} == {"['cat']", "None", "[]"}


@ENDINGS
def test_files_without_labels_are_told_of_lists(ending: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"labels=FILE"):
        made(beside(tmp_path, ending, ["a", "b"]))


@ENDINGS
def test_two_lists_called_labels_are_refused(ending: str, tmp_path: Path) -> None:
    source = beside(tmp_path, ending, "ab", labels=rows(("a", "x"), ("b", "y")))
    (source / "labels.tsv").write_text("bag_id\tlabel\na\tx\n")
    with pytest.raises(BadData, match="labels.csv and labels.tsv in .*; expected one list of labels; say which"):
        made(source)


@ENDINGS
def test_a_list_may_name_paths_where_names_are_unique_too(ending: str, tmp_path: Path) -> None:
    labels = rows((f"x/a{ending}", "cat"), ("x/b", "dog"))
    assert [names for names, _ in made(beside(tmp_path, ending, ["x/a", "x/b"], labels=labels))] == [["cat"], ["dog"]]


@ENDINGS
def test_a_stated_list_is_found_here_or_else_below_the_source(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = beside(tmp_path, ending, "ab", one=rows(("a", "x"), ("b", "y")), two=rows(("a", "v"), ("b", "w")))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        BadData, match="no three.csv in the working directory or in .*in, but one.csv, two.csv; expected"
    ):
        made(source, labels="three.csv")
    assert [labels for labels, _ in made(source, labels="two.csv")] == [["v"], ["w"]]
    (tmp_path / "one.csv").write_text(rows(("a", "here"), ("b", "there")))
    (tmp_path / "table").rename(tmp_path / "before")
    with caplog.at_level("INFO"):
        assert [labels for labels, _ in made(source, labels="one.csv")] == [["here"], ["there"]]
    assert "labels are those of one.csv in the working directory, not of " in caplog.text


@ENDINGS
def test_the_column_of_splits_may_have_another_name(ending: str, tmp_path: Path) -> None:
    source = beside(tmp_path, ending, "ab", labels="bag_id,label,part\na,x,train\nb,y,testing\n")
    assert made(source, split_column="part") == [(["x"], "train"), (["y"], "test")]
    with pytest.raises(BadData, match="labels.csv without column fold .*; expected the column that split_column names"):
        made(source, split_column="fold")
