"""Tables of features in every form: separators, endings, types of labels, and the classic benchmarks."""

import functools
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse

from negsift.common.data.table.build import build_table
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.data.table.sources import mil_files
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData, BadInput
from tests.unit.sources import bags, built

ROWS = "bag_id,label,x,y\na,cat,1,2\na,cat,3,4\nb,dog,5,6\n"
FRAME = pd.DataFrame({"bag_id": ["a", "a", "b"], "label": ["cat", "cat", "dog"], "x": [1.0, 3, 5], "y": [2.0, 4, 6]})
WRITERS: dict[str, Callable[[Path], object]] = {
    "bags.csv": lambda path: path.write_text(ROWS),
    "BAGS.CSV": lambda path: path.write_text(ROWS),
    "bags.tsv": lambda path: path.write_text(ROWS.replace(",", "\t")),
    "bags.csv.gz": lambda path: path.write_bytes(gzip.compress(ROWS.encode())),
    "bags.TSV.GZ": lambda path: path.write_bytes(gzip.compress(ROWS.replace(",", "\t").encode())),
    "bags.parquet": lambda path: FRAME.to_parquet(path),
    "BAGS.PARQUET": lambda path: FRAME.to_parquet(path),
    "coded.parquet": lambda path: FRAME.astype({"bag_id": "category", "label": "category"}).to_parquet(path),
    "bags.feather": lambda path: FRAME.to_feather(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_is_read_in_every_form(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    found = built(tmp_path / name)
    assert [(bag["bag_id"], bag["labels"], bag["features"]) for bag in found] == [
        ("a", ["cat"], [[1, 2], [3, 4]]), ("b", ["dog"], [[5, 6]]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "split"),
    [("test.csv", "test"), ("train_rows.tsv", "train"), ("validation-00000-of-00001.parquet", "val"), ("a.csv", None)],
)
def test_the_name_of_a_single_file_states_its_split(name: str, split: str | None, tmp_path: Path) -> None:
    path, frame = tmp_path / name, FRAME.assign(split=["val", "val", None])
    for rows, splits in ((FRAME, [split, split]), (frame, ["val", split])):
        write = {".csv": rows.to_csv, ".parquet": rows.to_parquet, ".tsv": functools.partial(rows.to_csv, sep="\t")}
        write[path.suffix](path, index=False)
        assert [bag["split"] for bag in built(path)] == splits
        (tmp_path / "table").rename(tmp_path / f"of {len(rows.columns)} columns")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_numbers_beside_missing_labels_are_whole(ending: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"bag_id": list("abc"), "label": [1.0, np.nan, 0.0], "x": [1.0, 2, 3]})
    path = tmp_path / f"bags.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    assert [bag["labels"] for bag in built(path)] == [["1"], None, ["0"]]


def test_a_number_with_and_without_a_point_is_one_class(tmp_path: Path) -> None:
    (tmp_path / "bags.csv").write_text("bag_id,label,x\na,0.0,1\nb,1.0,1\nc,1,1\nd,grade-1.5,1\n")
    assert [bag["labels"] for bag in built(tmp_path / "bags.csv")] == [["0"], ["1"], ["1"], ["grade-1.5"]]


@pytest.mark.parametrize("labels", [".5 .25", "0 1.5", "1e-3 0", "-0.5 1;0.5"])
def test_numbers_with_fractions_are_no_classes(labels: str, tmp_path: Path) -> None:
    one, other = labels.split()
    (tmp_path / "bags.csv").write_text(f"bag_id,label,x\na,{one},1\nb,{other},1\n")
    with pytest.raises(
        BadData, match=r"labels that are numbers with fractions, such as .*, in .*bags.csv; expected whole"
    ):
        built(tmp_path / "bags.csv")


def test_an_index_of_pandas_is_left_out_and_listed(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "bags.csv")
    made = build_table(tmp_path / "table", tmp_path / "bags.csv", BuildConfig())
    assert (made.payload.shape, made.left_out) == ((2,), ("column '': no feature",))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_that_are_no_features_are_left_out_by_name(ending: str, tmp_path: Path) -> None:
    path, frame = tmp_path / f"bags.{ending}", FRAME.assign(kind=["T", "B", "T"])
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    with pytest.raises(BadData, match="(invalid value 'T'|type (large_)?string in column 'kind').*leave_out=COLUMN"):
        built(path)
    with pytest.raises(BadInput, match="column in leave_out 'kinds'.*did you mean 'kind'"):
        built(path, leave_out=("kind", "kinds"))
    assert [bag["features"] for bag in built(path, leave_out=("kind",))] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert read_manifest(Location.of(tmp_path / "table")).left_out == ("column 'kind': no feature",)


def test_labels_of_instances_are_joined_on_request(tmp_path: Path) -> None:
    (tmp_path / "bags.csv").write_text("bag_id,label,x\na,0,1\na,1,2\nb,0,3\nb,,3\nc,,4\n")
    with pytest.raises(BadData, match="set instance_labels=true if they are those of instances"):
        built(tmp_path / "bags.csv")
    assert [bag["labels"] for bag in built(tmp_path / "bags.csv", instance_labels=True)] == [["0", "1"], ["0"], None]


def test_the_only_column_of_lists_has_the_features(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"query": ["q", "q", "r"], "label": [1, 1, 0], "embedding": [[1.0, 2], [3, 4], [5, 6]], "doc": list("xyz")}
    )
    frame.to_parquet(tmp_path / "bags.parquet")
    assert [bag["features"] for bag in built(tmp_path / "bags.parquet", id_column="query")] == [
        [[1, 2], [3, 4]],
        [[5, 6]],
    ]
    with pytest.raises(BadData, match=r"without column labels \(it has query, label, embedding, doc\)"):
        built(tmp_path / "bags.parquet", id_column="query", label_column="labels")
    frame.assign(other=frame["embedding"]).to_parquet(tmp_path / "two.parquet")
    (tmp_path / "table").rename(tmp_path / "first")
    with pytest.raises(BadData, match="type list<.*> in column 'embedding'"):
        built(tmp_path / "two.parquet", id_column="query", leave_out=("doc",))
    found = built(tmp_path / "two.parquet", id_column="query", key="other")
    assert [bag["features"] for bag in found] == [[[1, 2], [3, 4]], [[5, 6]]]


MUSK = "MUSK-188,188_1+1,42,-198,-109,1.\nMUSK-188,188_1+2,42,-191,-142,1.\nNON-MUSK-1,1_1,3,4,5,0.\n"


def test_musk_as_uci_has_it(tmp_path: Path) -> None:
    (tmp_path / "clean1.data").write_text(MUSK)
    found = built(tmp_path / "clean1.data", columns=("bag_id", "-", "*", "label"))
    assert [(bag["bag_id"], bag["labels"], bag["features"]) for bag in found] == [
        ("MUSK-188", ["1"], [[42, -198, -109], [42, -191, -142]]), ("NON-MUSK-1", ["0"], [[3, 4, 5]]),
    ]  # fmt: skip


def test_musk_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "musk1.csv").write_text("1,1,42,-198\n1,1,43,-191\n0,2,1,2\n")
    found = built(tmp_path / "musk1.csv", columns=("label", "bag_id", "*"))
    assert [(bag["bag_id"], bag["labels"], len(bag["features"])) for bag in found] == [("1", ["1"], 2), ("2", ["0"], 1)]


@pytest.mark.parametrize("columns", [("bag_id", "label"), ("bag_id", "*", "*"), ("bag_id", *"-----", "label", "*")])
def test_columns_of_another_number_are_reported(columns: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "clean1.data").write_text(MUSK)
    with pytest.raises(BadData, match="6 columns in .*clean1.data, and columns=bag_id,.*expected a name for each"):
        built(tmp_path / "clean1.data", columns=columns)


@pytest.mark.parametrize(
    "text",
    [
        "# fox\n0:7:-1 1:0.5 2:0.25\n1:8:1 1:0.1\n2:7:-1 2:4  # in any order\n",
        "-1 qid:7 1:0.5 2:0.25\n1 qid:8 1:0.1\n-1 qid:7 2:4\n",
    ],
)
def test_fox_in_svm_light(text: str, tmp_path: Path) -> None:
    (tmp_path / "fox.svm").write_text(text)
    assert [(bag["bag_id"], bag["labels"], bag["features"]) for bag in built(tmp_path / "fox.svm")] == [
        ("7", ["-1"], [[0.5, 0.25], [0, 4]]), ("8", ["1"], [[np.float32(0.1), 0]]),
    ]  # fmt: skip


def test_a_bag_is_positive_if_an_instance_is(tmp_path: Path) -> None:
    (tmp_path / "fox.svm").write_text("0:0:-1 1:1\n1:0:1 1:2\n2:1:-1 1:3\n")
    assert [(bag["bag_id"], bag["labels"]) for bag in built(tmp_path / "fox.svm")] == [("0", ["1"]), ("1", ["-1"])]
    scipy.io.savemat(tmp_path / "fox.mat", {"bag_ids": [5, 5, 6], "labels": [0, 1, 0], "features": np.eye(3)})
    (tmp_path / "table").rename(tmp_path / "first")
    assert [bag["labels"] for bag in built(tmp_path / "fox.mat")] == [["1"], ["0"]]


def test_a_table_without_a_header_is_told_of_columns(tmp_path: Path) -> None:
    (tmp_path / "musk1.csv").write_text("1,1,42,-198\n1,1,43,-191\n")
    with pytest.raises(
        BadData, match=r"without column bag_id, label .*; .*no header all columns: columns=bag_id,label,\*"
    ):
        built(tmp_path / "musk1.csv")
    (tmp_path / "clean1.data").write_text(MUSK)
    with pytest.raises(BadData, match=r"where there is no header all columns: columns=bag_id,-,\*,label$"):
        built(tmp_path / "clean1.data")


def test_the_heads_of_svm_light_may_have_another_order(tmp_path: Path) -> None:
    (tmp_path / "fox.svm").write_text("7:-1 1:0.5\n8:1 1:0.25\n")
    with pytest.raises(BadData, match="'7:-1' in line 1 of .*fox.svm; expected INSTANCE:BAG:LABEL, or LABEL qid:BAG"):
        built(tmp_path / "fox.svm")
    assert [bag["labels"] for bag in built(tmp_path / "fox.svm", columns=("bag_id", "label"))] == [["-1"], ["1"]]


@pytest.mark.parametrize("sparse", [False, True])
def test_fox_in_matlabs_form(sparse: bool, tmp_path: Path) -> None:
    features = np.array([[0.5, 0], [1, 0], [0, 2]])
    content: dict[str, Any] = {"bag_ids": [1, 2, 1], "labels": [-1, 1, -1]}
    content["features"] = scipy.sparse.csc_matrix(features) if sparse else features
    scipy.io.savemat(tmp_path / "fox.mat", content, do_compression=True)
    assert [(bag["bag_id"], bag["labels"], bag["features"]) for bag in built(tmp_path / "fox.mat")] == [
        ("1", ["-1"], [[0.5, 0], [0, 2]]), ("2", ["1"], [[1, 0]]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"bag_ids": [1], "labels": [1], "y": np.eye(1)}, r"no array 'features' in .*fox.mat \(it has bag_ids, labels, y\)"),
        ({"bag_ids": [1], "features": np.eye(1)}, "without column label"),
        ({"bag_ids": [1, 2], "labels": [1], "features": np.eye(1)}, "columns of 1, 2 rows; expected a row for each"),
        ({"bag_ids": [1], "labels": [1], "features": "text"}, "fox.mat; expected real numbers"),
        ({"bag_ids": [1], "labels": [1], "features": np.zeros((9, 9))}, "81 numbers for features in .*; expected at most 64"),
    ],
)  # fmt: skip
def test_other_files_of_matlab_are_reported(
    content: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mil_files, "MOST_BYTES", 512)
    scipy.io.savemat(tmp_path / "fox.mat", content)
    with pytest.raises(BadData, match=message):
        built(tmp_path / "fox.mat")


def test_a_huge_number_of_a_feature_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "fox.svm").write_text("0:7:-1 1:0.5\n1:8:1 2000000000:1\n")
    with pytest.raises(BadData, match=r"[34],000,000,0\d\d numbers for .*fox.svm; expected at most"):
        built(tmp_path / "fox.svm")


def test_a_damaged_gzip_is_reported(tmp_path: Path) -> None:
    (tmp_path / "bags.csv.gz").write_bytes(gzip.compress(ROWS.encode() * 99)[:-40])
    with pytest.raises(BadData, match="bags.csv.gz unreadable"):
        built(tmp_path / "bags.csv.gz")


def test_bags_without_instances_are_left_out_of_a_table(tmp_path: Path) -> None:
    frame = pd.DataFrame({"bag_id": ["a", "b", "c"], "label": [0, 1, 1], "features": [[[1.0]], [], [[2.0]]]})
    frame.to_parquet(tmp_path / "bags.parquet")
    made = build_table(tmp_path / "table", tmp_path / "bags.parquet", BuildConfig())
    assert ([bag["bag_id"] for bag in bags(tmp_path / "table")], made.left_out) == (["a", "c"], ("b: no instances",))
