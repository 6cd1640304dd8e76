"""MATLAB's files: sparse matrices, data sets of PRTools, cells of bags, and damaged ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from negsift.common.errors import BadData
from tests.unit.sources import built

FEATURES = np.array([[0.5, 0], [1, 0], [0, 2], [3, 0]])
BAGS, LABELS = np.array([1, 1, 2, 2]), np.array([1, 0, 0, 0])
EXPECTED = [("1", "1", [[0.5, 0], [1, 0]]), ("2", "0", [[0, 2], [3, 0]])]
Form = Callable[[Any], Any]


def found(path: Path, **settings: Any) -> list[tuple[Any, ...]]:
    return [(bag["bag_id"], bag["labels"][0], bag["features"]) for bag in built(path, **settings)]


@pytest.mark.parametrize("name", ["features", "x", "data"])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csc_matrix])
def test_matrices_of_the_usual_names_are_features(name: str, form: Form, tmp_path: Path) -> None:
    content = {name: form(FEATURES), "bag_ids": BAGS, "labels": form(LABELS[:, None])}
    scipy.io.savemat(tmp_path / "fox.mat", content)
    assert found(tmp_path / "fox.mat") == EXPECTED


def test_truth_values_are_numbers(tmp_path: Path) -> None:
    content = {"features": scipy.sparse.csc_matrix(FEATURES > 0), "bag_ids": BAGS, "labels": LABELS}
    scipy.io.savemat(tmp_path / "fox.mat", content)
    assert found(tmp_path / "fox.mat")[1] == ("2", "0", [[0, 1], [1, 0]])


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csc_matrix])
def test_a_data_set_of_prtools_has_the_bags_of_its_ident(form: Form, tmp_path: Path) -> None:
    dataset = {
        "data": form(FEATURES), "nlab": LABELS[:, None] + 1, "lablist": np.array(["negative", "positive"]),
        "ident": {"milbag": BAGS[:, None]},
    }  # fmt: skip
    scipy.io.savemat(tmp_path / "musk.mat", {"x": dataset})
    names = {"0": "negative", "1": "positive"}
    assert found(tmp_path / "musk.mat") == [(bag, names[label], features) for bag, label, features in EXPECTED]
    dataset["nlab"] = np.array([2, 2, 0, 0])[:, None]  # 0 is no label
    scipy.io.savemat(tmp_path / "some.mat", {"x": dataset})
    (tmp_path / "table").rename(tmp_path / "first")
    assert [bag["labels"] for bag in built(tmp_path / "some.mat")] == [["positive"], None]


def cells(*values: Any) -> Any:
    """A cell array of one column."""
    column = np.empty((len(values), 1), object)
    for row, value in enumerate(values):
        column[row, 0] = value
    return column


@pytest.mark.parametrize("beside", [True, False])
def test_a_cell_is_a_bag(beside: bool, tmp_path: Path) -> None:
    bags = cells(FEATURES[:2], scipy.sparse.csc_matrix(FEATURES[2:]))
    content = {"data": np.hstack([bags, cells(1, 0)])} if beside else {"bags": bags, "labels": np.array([1, 0])}
    scipy.io.savemat(tmp_path / "fox.mat", content)
    assert found(tmp_path / "fox.mat") == EXPECTED


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": {"data": FEATURES, "other": 1}}, "a struct of data, other in .*fox.mat .*; expected PRTools' data, nlab"),
        ({"bags": cells(FEATURES), "labels": [1, 0]}, "1 cells and 2 labels in .*fox.mat"),
        ({"bags": cells(FEATURES, FEATURES[:, :1]), "labels": [1, 0]}, "bags of 1, 2 features in .*fox.mat"),
    ],
)  # fmt: skip
def test_structs_and_cells_of_another_form_are_reported(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "fox.mat", content)
    with pytest.raises(BadData, match=message):
        built(tmp_path / "fox.mat")


def test_a_column_that_is_stated_has_to_be_there(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "fox.mat", {"features": FEATURES, "bag_ids": BAGS, "labels": LABELS, "who": BAGS + 5})
    with pytest.raises(BadData, match="without column nobody"):
        built(tmp_path / "fox.mat", id_column="nobody")
    assert [bag for bag, _, _ in found(tmp_path / "fox.mat", id_column="who")] == ["6", "7"]


def _whole(tmp_path: Path) -> bytes:
    content = {"bag_ids": BAGS, "labels": LABELS * 1.0, "features": scipy.sparse.csc_matrix(FEATURES)}
    scipy.io.savemat(tmp_path / "whole.mat", content)
    return (tmp_path / "whole.mat").read_bytes()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "text": lambda content: b"junk" * 50,
    "cut": lambda content: content[:-40],
    "an array that is said to be complex, at which scipy's reader crashes": lambda content: (
        content[:145] + b"\x7a" + content[146:]
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_one_line(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "fox.mat").write_bytes(damage(_whole(tmp_path)))
    with pytest.raises(BadData, match=r"fox.mat, damaged or no MATLAB file \(.*; expected a MATLAB file of version 7"):
        built(tmp_path / "fox.mat")


def test_a_file_of_version_seven_three_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "fox.mat").write_bytes(head.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(
        BadData, match="fox.mat of MATLAB's version 7.3, which is HDF5; expected version 7 or before; save"
    ):
        built(tmp_path / "fox.mat")
