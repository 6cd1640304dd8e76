"""Settings that a source has no use for, and columns that it does not have, are refused and nothing is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from negsift.common.data.table.build import build_table
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadInput
from tests.unit.clips import encoded_clip
from tests.unit.sources import npy, png, shard


def rows(root: Path) -> Path:
    (root / "rows.csv").write_text("bag_id,label,case_id,x\n" + "".join(f"b{n},cat,c{n},1\n" for n in range(4)))
    return root / "rows.csv"


def lists(root: Path) -> Path:
    """Two columns of lists."""
    columns = {"bag_id": ["a", "b"], "label": ["cat", "dog"], "features": [[[1.0]], [[2.0]]], "uni": [[[3.0]], [[4.0]]]}
    pq.write_table(pa.table(columns), root / "lists.parquet")
    return root / "lists.parquet"


def shards(root: Path) -> Path:
    (root / "data").mkdir()
    return lists(root).rename(root / "data" / "train.parquet").parent


def tar(root: Path) -> Path:
    return shard(root / "x.tar", {"a.npy": npy(np.ones((2, 3))), "a.cls": b"1"})


def arrays(root: Path) -> Path:
    (root / "arrays").mkdir()
    np.save(root / "arrays" / "a.npy", np.ones((2, 3)))
    (root / "arrays" / "labels.csv").write_text("bag_id,label,case_id\na,cat,c\n")
    return root / "arrays"


def classes(root: Path, ending: str, content: bytes) -> Path:
    for name in ("cat", "dog"):
        (root / "classes" / name).mkdir(parents=True, exist_ok=True)
        (root / "classes" / name / f"0{ending}").write_bytes(content)
    return root / "classes"


def photos(root: Path) -> Path:
    return classes(root, ".png", png(1))


def listed_photos(root: Path) -> Path:
    (root / "classes").mkdir()
    (root / "classes" / "labels.csv").write_text("bag_id,label,patient\n0,cat,p\n")
    return photos(root)


def clips(root: Path) -> Path:
    return classes(root, ".flac", encoded_clip(0))


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        (rows, {"labels": "l.csv"}, "labels=l.csv for .*rows.csv, which has labels of its own; .*; leave labels out"),
        (shards, {"labels": "l.csv"}, "labels=l.csv for .*data, which has labels of its own"),
        (tar, {"labels": "l.csv"}, "labels=l.csv for .*x.tar, which has labels of its own"),
        (rows, {"bag_size": 2}, "bag_size=2 for a source of features"),
        (rows, {"group_column": "patient"}, "rows.csv without column patient .it has bag_id, label, case_id, x"),
        (rows, {"key": "nope"}, "key=nope of .*; expected a column of lists: it has none; leave key out"),
        (rows, {"split_column": "fold"}, "rows.csv without column fold .it has bag_id, label, case_id, x"),
        (lists, {"label_column": "nope"}, "without column nope .it has bag_id, label, features, uni"),
        (lists, {"key": "nope"}, "key=nope of .*; expected one of its columns, bag_id, label, features, uni"),
        (lists, {"key": "label", "kind": "features"}, "key=label of .*; expected a column of lists: features, uni"),
        (arrays, {"group_column": "patient"}, "labels.csv without column patient"),
        (arrays, {"key": "uni"}, "key=uni of .npy files; .*; leave key out"),
        (arrays, {"seconds": 2.0}, "seconds=2.0 for a source of arrays"),
        (photos, {"group_column": "patient", "bag_size": 1}, "group_column=patient for a folder of images for each"),
        (listed_photos, {"group_column": "patient", "bag_size": 1}, "group_column=patient for bags that are cut from"),
        (photos, {"dtype": "float16"}, "dtype=float16 for a source of images"),
        (clips, {"train_set": "unbalanced"}, "train_set=unbalanced for a folder of clips for each class"),
        (clips, {"leave_out": ("x", "y")}, "leave_out=x,y for a source of audio"),
    ],
)
def test_what_is_not_used_is_refused(
    source: Callable[[Path], Path], settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        build_table(tmp_path / "table", source(tmp_path), BuildConfig(**settings))
    assert not (tmp_path / "table").exists()


def test_the_usual_column_of_groups_may_be_absent_and_another_may_be_named(tmp_path: Path) -> None:
    build_table(tmp_path / "usual", arrays(tmp_path), BuildConfig())
    build_table(tmp_path / "named", rows(tmp_path), BuildConfig(group_column="case_id"))
    build_table(tmp_path / "keyed", lists(tmp_path), BuildConfig(key="uni"))
