"""Names of classes from Hugging Face's metadata: every form that was ever written, and none of any other."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from negsift.common.data.class_names import class_names
from negsift.common.data.image_parquet import read_parquet
from negsift.common.data.table.sources.labels import LabelReader
from negsift.common.errors import BadData
from tests.unit.sources import FORMS, PARQUET, built, with_column

LABEL = {"names": ["cat", "dog"], "_type": "ClassLabel"}
OLDEST = {"num_classes": 2, "names": ["cat", "dog"], "names_file": None, "id": None, "_type": "ClassLabel"}


def schema(stored: bytes) -> pa.Schema:
    return pa.schema([("label", pa.int64())], {"huggingface": stored})


def with_feature(feature: Any) -> bytes:
    return json.dumps({"info": {"features": {"label": feature}}}).encode()


@pytest.mark.parametrize(
    "feature",
    [
        LABEL, OLDEST, [LABEL], {"feature": LABEL, "_type": "Sequence"}, {"feature": LABEL, "length": -1, "_type": "List"},
        {"feature": LABEL, "_type": "LargeList"},
    ],
)  # fmt: skip
def test_names_are_read_from_every_form_of_metadata(feature: Any) -> None:
    assert class_names(schema(with_feature(feature)), "label", Path("x")) == ("cat", "dog")


@pytest.mark.parametrize(
    "stored", [b"{}", b'{"info": {}}', with_feature({"dtype": "int64", "_type": "Value"}), with_feature({})]
)
def test_metadata_without_names_states_none(stored: bytes) -> None:
    assert class_names(schema(stored), "label", Path("x")) == ()
    assert class_names(pa.schema([("label", pa.int64())]), "label", Path("x")) == ()


WRONG = {
    "no JSON": b"{", "no UTF-8": b'{"\xff": 1}', "a list": b"[]", "info is a number": b'{"info": 3}',
    "features are a list": b'{"info": {"features": []}}', "a feature is text": with_feature("ClassLabel"),
    "names are text": with_feature({"names": "cat"}), "names are numbers": with_feature({"names": [0, 1]}),
    "a name twice": with_feature({"names": ["cat", "cat"]}), "two features in a list": with_feature([LABEL, LABEL]),
    "very deep": b"[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("form", [*PARQUET, "train"])
def test_metadata_of_another_form_is_refused_by_every_source(form: str, wrong: str, tmp_path: Path) -> None:
    rows = with_column("label", [0, 1, 0]).replace_schema_metadata({"huggingface": WRONG[wrong]})
    path = FORMS[form if form in FORMS else "images"](tmp_path, rows)
    with pytest.raises(BadData, match=f"{path.name} with metadata of Hugging Face that can't be used") as told:
        read_parquet([path], ("cat", "dog"), 8) if form == "train" else built(path)
    assert len(str(told.value).splitlines()) == 1
    assert len(str(told.value)) < 400


@pytest.mark.parametrize("form", PARQUET)
@pytest.mark.parametrize("labels", [[0, -1, 1], [[0], [-1], [1]]])
def test_a_hidden_class_is_unlabeled_in_every_source(form: str, labels: Any, tmp_path: Path) -> None:
    rows = with_column("label", labels).replace_schema_metadata({"huggingface": with_feature(LABEL)})
    found = built(FORMS[form](tmp_path, rows))
    assert sorted(bag["labels"] or [] for bag in found) == [[], ["cat"], ["dog"]]
    assert [bag["labels"] for bag in found].count(None) == 1


@pytest.mark.parametrize("form", PARQUET)
@pytest.mark.parametrize("number", [-2, 2])
def test_a_number_without_a_name_is_refused_by_every_source(form: str, number: int, tmp_path: Path) -> None:
    rows = with_column("label", [0, number, 1]).replace_schema_metadata({"huggingface": with_feature(LABEL)})
    with pytest.raises(BadData, match=f"class {number} in .*{form}.parquet; expected 0 to 1, .* or -1"):
        built(FORMS[form](tmp_path, rows))


def test_minus_one_without_names_is_a_class() -> None:
    assert LabelReader(Path("x")).read(pa.chunked_array([[-1, 1]])).to_pylist() == [["-1"], ["1"]]


def test_bags_of_unlabeled_images_are_cut_for_themselves(tmp_path: Path) -> None:
    rows = pa.concat_tables([with_column("label", [0, -1, 1])] * 4)
    path = FORMS["images"](tmp_path, rows.replace_schema_metadata({"huggingface": with_feature(LABEL)}))
    found = built(path, bag_size=3)
    assert [len(bag["instances"]) for bag in found if bag["labels"] is None] == [3, 1]
    assert sum(len(bag["instances"]) for bag in found if bag["labels"]) == 8
    assert [bag["bag_id"] for bag in found] == [f"images-train-{number:06d}" for number in range(5)]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("test-00000-of-00001", "test"), ("evaluation", "test"), ("eval_1", "test"), ("validation-00000-of-00001", "val"),
        ("val", "val"), ("dev.0", "val"), ("train-00000-of-00001", "train"), ("testament", "train"), ("values", "train"),
    ],
)  # fmt: skip
def test_a_parquet_file_of_images_has_the_split_that_its_name_states(name: str, split: str, tmp_path: Path) -> None:
    path = FORMS["images"](tmp_path, with_column("label", ["cat", "dog", "cat"]))
    assert {bag["split"] for bag in built(path.rename(tmp_path / f"{name}.parquet"))} == {split}


def test_a_column_says_the_split_before_the_files_name(tmp_path: Path) -> None:
    path = FORMS["images"](tmp_path, with_column("split", ["train", None, "val"]))
    found = built(path.rename(tmp_path / "test.parquet"))
    assert sorted(bag["split"] for bag in found) == ["test", "train", "val"]


def test_the_metadata_of_a_file_is_that_of_its_batches(tmp_path: Path) -> None:
    rows = with_column("label", [0, 1, 0]).replace_schema_metadata({"huggingface": with_feature([LABEL])})
    pq.write_table(rows, tmp_path / "f.parquet", row_group_size=1)
    assert [bag["labels"] for bag in built(tmp_path / "f.parquet")] == [["cat"], ["dog"], ["cat"]]
