"""What one source refuses, leaves out or takes, all do: the same content through every source that can hold it."""

import itertools
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from negsift.common.data.table.build import build_table
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData
from tests.unit.clip_tables import CLIPS
from tests.unit.clips import write_folder, write_parquet
from tests.unit.sources import FORMS, PARQUET, ROWS, WITH_FEATURES, arrays, built, csv, flat, with_column

TWICE = pa.Table.from_arrays([*ROWS.columns, ROWS["label"]], [*ROWS.column_names, "label"])
FAULTS: dict[str, tuple[pa.Table, str, tuple[str, ...]]] = {
    "tags joined by commas": (
        with_column("label", ["cat,dog", "cat", "dog"]),
        r"label 'cat,dog' in .*, where 'cat' is a label, too; expected .* by ';'; set label_separator=, or", tuple(FORMS),
    ),
    "tags joined by commas in every row": (
        with_column("label", ["dog,bird", "dog,cat", "fox"]),
        r"label 'dog,cat' in .*, which shares 'dog' with 'dog,bird'; expected .* by ';'; set label_separator=, or", tuple(FORMS),
    ),
    "a list as Python writes it": (
        with_column("label", ["dog", "['dog', 'cat']", "cat"]),
        r"a list as text, \"\['dog', 'cat'\]\", in .*, (line 3|row 1); expected .*';', which is label_separator", tuple(FORMS),
    ),
    "a list as JSON writes it": (with_column("label", ['["dog"]', "dog", "cat"]), "a list as text.* (line 2|row 0);", tuple(FORMS)),
    "a list of numbers": (with_column("label", ["[1, 2]", "dog", "cat"]), "a list as text", tuple(FORMS)),
    "a set of names": (with_column("label", ["{'a', 'b'}", "dog", "cat"]), "a list as text", tuple(FORMS)),
    "vectors of zeros and ones": (
        with_column("label", [[1, 0, 1], [0, 1, 0], [0, 0, 0]]),
        r"labels such as \[1, 0, 1\] in .*, a 0 or 1 for each class; expected the numbers or names", PARQUET,
    ),
    "a split of another name": (with_column("split", ["train", "trian", "test"]), "a split other than", tuple(FORMS)),
    "two columns of one name": (TWICE, "2 columns 'label' in", tuple(FORMS)),
    "an id missing": (with_column("bag_id", ["a", None, "c"]), "1 rows without a bag_id", WITH_FEATURES),
    "labels of numbers with fractions": (with_column("label", [0.5, 1, 2]), "labels of type double", PARQUET),
    "nested labels": (with_column("label", [[["a"]], [["b"]], []]), "labels of type list<.*list<", PARQUET),
    "structs as labels": (with_column("label", [{"a": 1}] * 3), "labels of type struct", PARQUET),
    "a null among labels": (with_column("label", [["a"], [None], []]), "a null among the labels", PARQUET),
    "nested ids": (with_column("bag_id", [["a"], ["b"], ["c"]]), "column 'bag_id' of type list", ("flat", "nested")),
    "a nested split": (with_column("split", [["train"]] * 3), "column 'split' of type list", PARQUET),
    "two labels of a bag": (
        with_column("bag_id", ["a", "a", "c"]), r"labels \['cat'\] and \['dog'\] for bag 'a'", ("csv", "flat", "arrays"),
    ),
    "two groups of a bag": (
        with_column("bag_id", ["a", "a", "c"]).set_column(1, "label", pa.array(["x"] * 3)).append_column(
            "group_id", pa.array(["1", "2", "3"])), "group_id 1 and 2 for bag 'a'", ("csv", "flat", "arrays"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "form"), [(fault, form) for fault in FAULTS for form in FAULTS[fault][2]])
def test_what_one_source_refuses_all_refuse(fault: str, form: str, tmp_path: Path) -> None:
    rows, message, _ = FAULTS[fault]
    with pytest.raises(BadData, match=message) as told:
        built(FORMS[form](tmp_path, rows))
    assert len(str(told.value).splitlines()) == 1
    assert not Location.of(tmp_path / "table").files()


TEXTS = {
    "nothing": b"",
    "a header only": b"bag_id,label\n",
    "latin-1": "bag_id,label\na,caf\xe9\n".encode("latin-1"),
    "a latin-1 header": "bag_id,label,\xe9\na,x,1\n".encode("latin-1"),
    "UTF-16": "bag_id,label\na,cat\n".encode("utf-16"),
    "UTF-16 without a mark": "bag_id,label\na,cat\n".encode("utf-16-le"),
    "commas without quotes": b"bag_id,label\na,cat,dog\nb,dog\n",
}
LISTS = {"csv": "bags.csv", "arrays": "arrays/labels.csv", "audio": "audio/eval_segments.csv"}


@pytest.mark.parametrize(("text", "form"), list(itertools.product(TEXTS, LISTS)))
def test_a_list_that_is_no_csv_in_utf8_is_refused(text: str, form: str, tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    arrays(tmp_path, ROWS)
    path = tmp_path / LISTS[form]
    path.write_bytes(TEXTS[text])
    with pytest.raises(BadData, match=path.name) as told:
        built(path.parent if form == "arrays" else path)
    assert len(str(told.value).splitlines()) == 1
    assert "\0" not in str(told.value)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", WITH_FEATURES)
def test_bags_with_features_that_are_not_finite_are_left_out_and_listed(
    form: str, wrong: float, tmp_path: Path
) -> None:
    found = built(FORMS[form](tmp_path, with_column("x", [1.0, wrong, 3.0])))
    assert [(bag["bag_id"], bag["features"]) for bag in found] == [("a", [[1.0]]), ("c", [[3.0]])]
    assert read_manifest(Location.of(tmp_path / "table")).left_out == ("b: 1 numbers not finite",)


@pytest.mark.parametrize("form", WITH_FEATURES)
def test_a_source_of_mostly_infinite_features_is_refused(form: str, tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match=r"2 of 3 bags missing or unusable \(first: a: 1 numbers not finite\); expected at least"
    ):
        built(FORMS[form](tmp_path, with_column("x", [np.inf, 1.0, np.nan])))
    assert not Location.of(tmp_path / "table").files()


@pytest.mark.parametrize("dtype", ["complex64", "bool", "m8[s]", "U3"])
def test_arrays_of_other_than_real_numbers_are_refused(dtype: str, tmp_path: Path) -> None:
    np.save(arrays(tmp_path, ROWS) / "b.npy", np.ones((1, 1)).astype(dtype))
    with pytest.raises(BadData, match=r"\(1, 1\) in .*b.npy; expected real numbers"):
        built(tmp_path / "arrays")


WORDS = ["NA", "null", "None", "nan", "N/A", "NULL", "#N/A", "-"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_a_label_and_only_nothing_is_unlabeled(form: str, word: str, tmp_path: Path) -> None:
    found = built(FORMS[form](tmp_path, with_column("label", ["cat", word, None])))
    assert sorted(bag["labels"] or ["unlabeled"] for bag in found) == sorted([["cat"], [word], ["unlabeled"]])


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_label_means_the_same_with_and_without_quotes(quote: str, tmp_path: Path) -> None:
    rows = "".join(f"{word}{row},{quote}{word}{quote},1\n" for row, word in enumerate([*WORDS, ""]))
    (tmp_path / "bags.csv").write_text("bag_id,label,x\n" + rows)
    assert [bag["labels"] for bag in built(tmp_path / "bags.csv")] == [*([word] for word in WORDS), None]


@pytest.mark.parametrize("form", FORMS)
def test_labels_are_divided_at_the_separator_that_is_set(form: str, tmp_path: Path) -> None:
    rows = with_column("label", ["cat, dog", "cat", "a;b"])
    found = built(FORMS[form](tmp_path, rows), label_separator=",")
    assert sorted(bag["labels"] for bag in found) == [["a;b"], ["cat"], ["cat", "dog"]]


@pytest.mark.parametrize("form", FORMS)
def test_a_bag_has_a_label_once(form: str, tmp_path: Path) -> None:
    found = built(FORMS[form](tmp_path, with_column("label", ["p;q; p", "p;p", "q"])))
    assert sorted(bag["labels"] for bag in found) == [["p"], ["p", "q"], ["q"]]


@pytest.mark.parametrize("form", PARQUET)
@pytest.mark.parametrize(
    "values", [[["p", "p"], ["q", "p"], None], [[1, 1], [2, 1], []], [[0], [1], [1]], [[0, 1]] * 3]
)
def test_a_list_has_a_label_once(values: list[list[Any] | None], form: str, tmp_path: Path) -> None:
    found = built(FORMS[form](tmp_path, with_column("label", values)))
    once = [None if value is None else sorted({str(name) for name in value}) for value in values]
    assert [value and sorted(value) for value in (bag["labels"] for bag in found)] == once or form == "images"


@pytest.mark.parametrize("name", ["[music]", "(1)", "{a}", "it's", "[] or none]", "a [b, c]"])
def test_names_with_brackets_are_labels(name: str, tmp_path: Path) -> None:
    assert [name] in [bag["labels"] for bag in built(csv(tmp_path, with_column("label", [name, "x", "y"])))]


def test_names_with_commas_are_labels_where_no_part_of_them_is_one(tmp_path: Path) -> None:
    rows = with_column("label", ["Inside, small room", "Inside, large room", "Dog"])
    assert len({bag["labels"][0] for bag in built(csv(tmp_path, rows))}) == 3


def test_joined_tags_are_found_however_far_apart_their_rows_are(tmp_path: Path) -> None:
    names = [str(row) for row in range(40_000)]
    labels = ["cat,dog", *["bird"] * (len(names) - 2), "dog"]
    rows = pa.table({"bag_id": names, "label": labels, "x": [1.0] * len(names)})
    with pytest.raises(BadData, match=r"'cat,dog' in .*flat.parquet, where 'dog' is a label, too"):
        built(flat(tmp_path, rows))


def test_joined_tags_are_found_by_a_declared_class(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="label 'cat,dog' in .*, where 'dog' is a label, too"):
        built(csv(tmp_path, with_column("label", ["cat,dog", None, None])), classes=("dog",))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def plug(path: Path, made: Any = socket.socket) -> None:
    with made(socket.AF_UNIX) as opened:
        os.chdir(path.parent)  # a socket's path is short
        opened.bind(path.name)


def everything(folder: Path) -> None:
    for form in FORMS.values():
        form(folder, ROWS)
    write_folder(folder / "clips", 2, 2)
    write_parquet(folder / "hub", 2, 2)
    (folder / "photos" / "cat").mkdir(parents=True)


DATA = {
    "bags.csv": "bags.csv", "flat.parquet": "flat.parquet", "nested.parquet": "nested.parquet",
    "images.parquet": "images.parquet", "arrays/labels.csv": "arrays", "arrays/a.npy": "arrays",
    "photos/cat/a.png": "photos", "clips/eval_segments.csv": "clips", "clips/class_labels_indices.csv": "clips",
    "clips/ontology.json": "clips", "hub/eval/00.parquet": "hub", "hub/bal_train/01.parquet": "hub",
}  # fmt: skip
"""Files, and the source that each belongs to."""
SETTINGS = {"photos": BuildConfig(bag_size=1), "clips": CLIPS, "hub": CLIPS}
"""What some of the sources need."""


@pytest.mark.parametrize(("name", "make"), list(itertools.product(DATA, [pipe, zeros, plug])))
def test_what_is_no_regular_file_is_refused_and_not_waited_for(
    name: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    everything(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    with pytest.raises(BadData, match="(a named pipe|a socket|a device) at") as told:
        build_table(tmp_path / "table", tmp_path / DATA[name], SETTINGS.get(DATA[name], BuildConfig()))
    assert Path(name).name in str(told.value)


@pytest.mark.parametrize("make", [pipe, zeros, plug])
def test_a_clip_that_is_no_regular_file_counts_as_missing(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "clips", 2, 2)
    clip = next((tmp_path / "clips" / "train").iterdir())
    clip.unlink()
    make(clip)
    manifest = build_table(tmp_path / "table", tmp_path / "clips", CLIPS)
    assert [line.partition(": ")[2] for line in manifest.left_out] == ["no file"]


@pytest.mark.parametrize("make", [pipe, zeros, plug])
@pytest.mark.parametrize("pattern", ["manifest*", "bags*"])
def test_a_table_of_other_than_regular_files_is_refused(
    make: Any, pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build_table(tmp_path / "table", csv(tmp_path, ROWS), BuildConfig())
    path = next((tmp_path / "table").glob(pattern))
    path.unlink()
    make(path)
    with pytest.raises(BadData, match="no bag table at|no file at"):
        built_again(tmp_path / "table")


def built_again(where: Path) -> None:
    from negsift.common.data.table.bags import open_pool

    list(open_pool(where, "cat"))
