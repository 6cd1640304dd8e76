"""Tables from folders, CSV, parquet and arrays: their bags, their errors, and no partial file after a failure."""

import json
import os
import pickle
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from negsift.common.data.table.bags import open_pool
from negsift.common.data.table.build import build_table
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest, versions
from negsift.common.data.table.schema import ENCODED, Payload, read_payload, table_schema
from negsift.common.data.table.sources.labels import as_labels
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.statistics import count_bags, describe_table
from negsift.common.data.table.writer import TableWriter
from negsift.common.errors import BadData, BadInput, UnknownName
from tests.unit.tables import as_table, assert_bags, random_bags, third_positive, write

CSV = """bag_id,label,split,x,y
a,cat,train,1,2
a,cat,train,3,4.5
b,dog;cat,train,5,6
c,[],,7,8
d,,train,9,10
"""


def built(source: Path, **settings: Any) -> Location:
    where = Location.of(source.parent / "table")
    build_table(where, source, BuildConfig(**settings))
    return where


def csv(folder: Path, text: str = CSV) -> Path:
    (folder / "bags.csv").write_text(text)
    return folder / "bags.csv"


def rows(where: Location) -> dict[str, Any]:
    table = pa.concat_tables(
        pq.read_table(where.path_of(file.name), filesystem=where.fs) for file in read_manifest(where).files
    )
    return table.to_pydict()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_of_a_csv_become_bags(tmp_path: Path, dtype: str) -> None:
    found = rows(built(csv(tmp_path), dtype=dtype))
    assert found["bag_id"] == ["a", "b", "c", "d"]
    assert found["labels"] == [["cat"], ["dog", "cat"], [], None]
    assert found["split"] == ["train", "train", None, "train"]
    assert found["n_instances"] == [2, 1, 1, 1]
    assert found["features"] == [[[1, 2], [3, 4.5]], [[5, 6]], [[7, 8]], [[9, 10]]]


@given(data=st.data())
def test_bags_of_any_size_survive_batches_of_any_size(data: Any) -> None:
    from negsift.common.data.table.sources.features import group_rows

    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=10))
    ids = np.repeat(np.arange(len(sizes)), sizes).astype(str)
    named = pa.table({"bag_id": ids.tolist(), "labels": as_labels(pa.array(ids.tolist()))})
    feats = np.arange(2 * len(ids), dtype=np.float32).reshape(-1, 2)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(ids) - 1)))) - {len(ids)})
    edges = list(zip([0, *cuts], [*cuts, len(ids)], strict=True))
    tables = list(group_rows((named.slice(low, high - low), feats[low:high]) for low, high in edges))
    whole = pa.concat_tables(tables)
    assert whole["bag_id"].to_pylist() == [str(number) for number in range(len(sizes))]
    assert [len(bag) for bag in whole["features"].to_pylist()] == sizes
    assert np.concatenate([np.array(bag) for bag in whole["features"].to_pylist()]).tolist() == feats.tolist()


def nested(folder: Path) -> Path:
    table = pa.table({"bag_id": ["a", "b"], "label": [1, 0], "features": [[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]]})
    pq.write_table(table, folder / "nested.parquet")
    return folder / "nested.parquet"


def flat(folder: Path) -> Path:
    table = pa.table({"bag_id": ["a", "b", "b"], "label": [True, False, False], "features": [[1.0, 2], [3, 4], [5, 6]]})
    pq.write_table(table, folder / "flat.parquet")
    return folder / "flat.parquet"


def arrays(folder: Path) -> Path:
    (folder / "arrays").mkdir()
    np.save(folder / "arrays" / "a.npy", np.array([[1, 2]], dtype=np.float32))
    np.savez(folder / "arrays" / "b.npz", features=np.array([[3, 4], [5, 6]], dtype=np.float16))
    (folder / "arrays" / "labels.csv").write_text("bag_id,label\na,1\nb,0\n")
    return folder / "arrays"


@pytest.mark.parametrize("source", [nested, flat, arrays])
def test_feature_bags_come_in_many_forms(tmp_path: Path, source: Callable[[Path], Path]) -> None:
    found = rows(built(source(tmp_path)))
    assert (found["bag_id"], found["labels"]) == (["a", "b"], [["1"], ["0"]])
    assert found["features"] == [[[1, 2]], [[3, 4], [5, 6]]]


def pictures(folder: Path, splits: tuple[str, ...] = ("",), count: int = 8) -> Path:
    random = np.random.default_rng(0)
    for split in splits:
        for name in ("cat", "dog"):
            (folder / "images" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (10, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "images" / split / name / f"{number}.png")
    return folder / "images"


def test_images_become_bags_with_all_their_classes(tmp_path: Path) -> None:
    where = built(pictures(tmp_path, ("train", "test")), bag_size=3, image_size=8)
    found = rows(where)
    assert found["n_instances"] == [3, 3, 3, 3, 3, 1] * 2
    assert found["split"] == ["train"] * 6 + ["test"] * 6
    for labels, images in zip(found["labels"], found["instances"], strict=True):
        assert labels == sorted({Path(image["path"]).parts[-2] for image in images})
    first = next(bag for bag in open_pool(where, "cat"))
    assert (first.shape[1:], str(first.dtype)) == ((3, 8, 8), "torch.uint8")


def test_images_of_a_list_are_bags_with_its_labels(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / "photos" / "raw").mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(tmp_path / "photos" / ("raw" if number > 3 else "") / f"{number}.png")
    names = ["0.png", "1.png", "2", "3.png", "raw/4.png", "9.png"]
    lines = [f"{name},{'cat' if row % 2 else 'dog;owl'}" for row, name in enumerate(names)]
    (tmp_path / "photos" / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
    where = built(tmp_path / "photos", bag_size=1)
    found = {
        images[0]["path"]: labels
        for images, labels in zip(*(rows(where)[key] for key in ("instances", "labels")), strict=True)
    }
    pair, cat = ["dog", "owl"], ["cat"]
    assert found == {"0.png": pair, "1.png": cat, "2.png": pair, "3.png": cat, "raw/4.png": pair, "raw/5.png": None}
    assert read_manifest(where).left_out == ("9.png: no file, but a row of metadata.csv",)


def test_images_in_parquet_become_bags_with_the_hubs_names(tmp_path: Path) -> None:
    paths = sorted(pictures(tmp_path).rglob("*.png"))
    images = pa.array([{"bytes": path.read_bytes(), "path": path.name} for path in paths], ENCODED)
    table = pa.table({"img": images, "label": [int(path.parent.name == "dog") for path in paths]})
    names = {"info": {"features": {"label": {"names": ["cat", "dog"]}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), tmp_path / "hub.parquet")
    found = rows(built(tmp_path / "hub.parquet", bag_size=1))
    assert found["bag_id"] == [f"hub-train-{number:06d}" for number in range(16)]
    for labels, (image,) in zip(found["labels"], found["instances"], strict=True):
        path = paths[int(image["path"].removeprefix("row "))]
        assert (labels, image["bytes"]) == ([path.parent.name], path.read_bytes())


def test_a_file_that_is_not_parquet_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"x")
    with pytest.raises(BadData, match="x.parquet unreadable"):
        built(tmp_path / "x.parquet")


def test_more_images_are_appended_under_names_of_their_own(tmp_path: Path) -> None:
    where, source = built(pictures(tmp_path)), tmp_path / "images"
    with pytest.raises(BadData, match="bag_id 'images-train-000000' more than once"):
        build_table(where, source, BuildConfig(), append=True)
    assert build_table(where, source, BuildConfig(prefix="again"), append=True).version == 2


def test_images_are_decoded_as_pillow_does(tmp_path: Path) -> None:
    source = pictures(tmp_path)
    where = built(source, bag_size=1, image_size=6)
    pool = open_pool(where, "cat")
    for bag, name in zip(pool, pool.bag_id(np.arange(len(pool))), strict=True):
        path = source / next(
            row[0]["path"]
            for row, found in zip(*(rows(where)[key] for key in ("instances", "bag_id")), strict=True)
            if found == name
        )
        expected = np.asarray(Image.open(path).resize((6, 6), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        np.testing.assert_array_equal(bag[0], expected)


def test_a_bag_may_be_one_image(tmp_path: Path) -> None:
    paths = sorted(pictures(tmp_path).rglob("*.png"))
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    names = [f"b{number}" for number in range(16)]
    bags = pa.table({"bag_id": names, "labels": [[]] * 16, "image": pa.array(images, ENCODED)})
    with TableWriter(Location.of(tmp_path / "one"), Payload("image", "uint8", (3, 10, 12)), group_mb=0.001) as writer:
        writer.add(bags)
    pool = open_pool(tmp_path / "one")
    assert len(pool.manifest.groups) > 3
    assert_bags(list(pool), [np.asarray(Image.open(path)).transpose(2, 0, 1)[None] for path in paths])


def test_broken_images_are_left_out_but_not_most(tmp_path: Path) -> None:
    source = pictures(tmp_path)
    (source / "cat" / "0.png").write_bytes(b"no image")
    where = built(source)
    assert sum(rows(where)["n_instances"]) == 15
    assert read_manifest(where).left_out == ("cat/0.png: unknown image format",)
    for number in range(1, 8):
        (source / "dog" / f"{number}.png").write_bytes(b"no image")
        (source / "cat" / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(BadData, match=r"15 of 16 images missing or unusable"):
        build_table(tmp_path / "other", source, BuildConfig())
    assert not Location.of(tmp_path / "other").files()


def test_files_of_other_endings_beside_images_are_listed(tmp_path: Path) -> None:
    source = pictures(tmp_path, ("train", "test"))
    for number in range(40):
        (source / "train" / "cat" / f"{number:02d}.heic").write_bytes(b"")
    manifest = read_manifest(built(source))
    assert manifest.left_out == tuple(f"train/cat/{n:02d}.heic: not a known ending of images" for n in range(40))


def test_images_that_no_reader_takes_are_left_out(tmp_path: Path) -> None:
    source = pictures(tmp_path)
    Image.fromarray(np.ones((9, 9), np.float32)).save(source / "cat" / "0.tif")
    (line,) = read_manifest(built(source)).left_out
    assert line.startswith("cat/0.tif: pixels of float32 from 1 to 1, not of 8 or 16 bits")


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        (pa.array(["a;b", " c ", "", None, "[]"]), [["a", "b"], ["c"], None, None, []]),
        (pa.array([0, 3, None], pa.int8()), [["0"], ["3"], None]),
        (pa.array([True, False]), [["1"], ["0"]]),
        (pa.array([["a"], [], None], pa.large_list(pa.string())), [["a"], [], None]),
    ],
)
def test_labels_come_in_many_forms(column: pa.Array, labels: list[Any]) -> None:
    assert as_labels(column).to_pylist() == labels


def test_row_groups_hold_whole_bags_up_to_their_limit(tmp_path: Path) -> None:
    bags = random_bags(200, dtype="float32", longest=9)
    where = write(tmp_path / "pool", as_table(bags, third_positive(200)), group_mb=0.002)
    limit, groups = int(0.002 * 2**20), [group for file in read_manifest(where).files for group in file.groups]
    assert all(group.instances * 24 <= limit for group in groups)
    assert all(limit - 9 * 24 < group.instances * 24 for group in groups[:-1])
    assert sum(group.rows for group in groups) == 200


def test_a_bag_larger_than_a_row_group_has_one_to_itself(tmp_path: Path) -> None:
    bags = [np.ones((size, 6), np.float32) for size in (2, 500, 3)]
    where = write(tmp_path / "pool", as_table(bags, [[], [], ["bird"]]), group_mb=0.001)
    assert [group.rows for group in read_manifest(where).files[0].groups] == [1, 1, 1]
    assert_bags(list(open_pool(where, "bird")), bags[:2])


WRONG_CSV = {
    "no rows": ("bag_id,label,x\n", "no rows in .*bags.csv"),
    "no label": ("bag_id,x\na,1\n", r"without column labels? \(it has bag_id, x\).*label_column=NAME"),
    "no id": ("slide,label,x\na,1,1\n", "without column bag_id .*id_column=NAME"),
    "no features": ("bag_id,label\na,1\n", "no column of features"),
    "a reset index": ("bag_id,index,label,x\na,0,1,1\nb,1,1,1\n", "column 'index', in which pandas .*; set leave_out=index, or write it with index=False"),
    "two reset indices": ("level_0,bag_id,label,x\n0,a,1,1\n1,b,1,1\n", "column 'level_0', in which pandas"),
    "semicolons": ("bag_id;label;x;y\nb0;bird;0,5;1,25\n", "bags.csv with columns separated by ';'; expected commas, and points in numbers"),
    "tabs": ("bag_id\tlabel\tx\na\t1\t1\n", r"separated by '\\t'; expected commas"),
    "one name but for blanks": ("bag_id,label,x, x\na,1,1,2\n", "2 columns 'x'"),
    "no number": ("bag_id,label,x\na,1,high\n", "bags.csv unreadable .*high"),
    "a hole": ("bag_id,label,x\na,1,\n", "1 missing values in column 'x'"),
    "two labels apart": ("bag_id,label,x\na,1,1\nb,1,1\na,0,1\n", r"labels \['1'\] and \['0'\] for bag 'a'"),
    "two labels": ("bag_id,label,x\na,1,1\na,0,1\n", r"labels \['1'\] and \['0'\] for bag 'a'; expected the same labels in every row of a bag"),
    "a split": ("bag_id,label,split,x\na,1,trian,1\n", "a split other than train, val, test for bag 'a'"),
    "no name": ("bag_id,label,x\n,1,1\n", "1 rows without a bag_id"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_CSV)
def test_an_unusable_csv_is_reported_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    text, message = WRONG_CSV[kind]
    with pytest.raises(BadData, match=message):
        built(csv(tmp_path, text))
    assert not Location.of(tmp_path / "table").files()


def test_blanks_around_the_names_of_columns_are_ignored(tmp_path: Path) -> None:
    header, content = CSV.split("\n", 1)
    expected = rows(built(csv(tmp_path)))
    build_table(tmp_path / "again", csv(tmp_path, header.replace(",", " , ") + "\n" + content), BuildConfig())
    assert rows(Location.of(tmp_path / "again")) == expected


def test_an_index_that_does_not_count_the_rows_is_a_feature(tmp_path: Path) -> None:
    assert rows(built(csv(tmp_path, "bag_id,label,index\na,1,1\nb,1,0\n")))["features"] == [[[1]], [[0]]]


def test_numbers_too_large_for_float16_are_reported(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="70000 among the features; expected numbers that float16 holds"):
        built(csv(tmp_path, "bag_id,label,x\na,1,70000\n"), dtype="float16")


def test_numbers_too_large_for_float32_are_not_sent_to_float32(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"1e\+300 among the features; expected numbers that float32 holds; scale them"):
        built(csv(tmp_path, "bag_id,label,x\na,1,1e300\n"))


def test_arrays_of_two_widths_are_reported(tmp_path: Path) -> None:
    source = arrays(tmp_path)
    np.save(source / "b2.npy", np.ones((2, 3)))
    with pytest.raises(BadData, match="b2.npy of 3 features; expected 2, as in the first file"):
        built(source)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "labels.csv").unlink(), "no .*labels.csv; expected one file for each bag, and labels.csv"),
        (lambda root: (root / "b.npz").write_bytes(b"x"), "b.npz unreadable"),
        (lambda root: np.save(root / "a.npy", np.ones(3)), r"float64\(3,\) in .*a.npy"),
        (lambda root: (root / "a.npy").rename(root / "a.h5"), "a.h5 unreadable"),
    ],
)  # fmt: skip
def test_an_unusable_folder_of_arrays_is_reported(tmp_path: Path, change: Any, message: str) -> None:
    source = arrays(tmp_path)
    change(source)
    with pytest.raises(BadData, match=message):
        built(source)


def test_hidden_files_beside_arrays_are_ignored(tmp_path: Path) -> None:
    expected = rows(built(arrays(tmp_path)))
    (tmp_path / "arrays" / "._a.npy").write_bytes(b"\x00\x05\x16\x07" * 20)
    again = build_table(Location.of(tmp_path / "again"), tmp_path / "arrays", BuildConfig())
    assert again.rows == len(expected["bag_id"])


def test_a_hidden_folder_is_no_class_of_images(tmp_path: Path) -> None:
    (pictures(tmp_path) / ".thumbnails").mkdir()
    shutil.copy(tmp_path / "images" / "cat" / "0.png", tmp_path / "images" / ".thumbnails")
    assert sum(rows(built(tmp_path / "images"))["n_instances"]) == 16


def test_nobody_is_advised_to_unpickle_a_file(tmp_path: Path) -> None:
    source = arrays(tmp_path)
    for content in (b"rubbish" * 20, pickle.dumps([1.0])):
        (source / "a.npy").write_bytes(content)
        with pytest.raises(BadData, match=r"a.npy unreadable \(no array of numbers\); expected features \(n, D\)"):
            built(source)


def in_folders(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (root / "slides" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(root / "slides" / name, [[number]])
    return root / "slides"


def test_files_of_one_name_in_two_folders_are_bags_of_their_own(tmp_path: Path) -> None:
    source = in_folders(tmp_path, "a/s1.npy", "b/s1.npy", "b/s2.npy")
    (source / "labels.csv").write_text("bag_id,label\na/s1,cat\nb/s1,dog\ns2,bird\n")
    found = rows(built(source))
    assert found["bag_id"] == ["a/s1", "b/s1", "s2"]
    assert found["labels"] == [["cat"], ["dog"], ["bird"]]
    assert found["features"] == [[[0]], [[1]], [[2]]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("a/s1.npy", "b/s1.npy"), "bag 's1' of .*labels.csv, which has the files a/s1.npy, b/s1.npy; .* by their folders"),
        (("s1.npy", "s1.npz"), "s1.npy and s1.npz, both bag 's1'; expected one file for a bag"),
    ],
)  # fmt: skip
def test_a_row_for_files_of_one_name_is_refused(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    source = in_folders(tmp_path, *files)
    (source / "s1.npz.npy").rename(source / "s1.npz") if "s1.npz" in files else None
    (source / "labels.csv").write_text("bag_id,label\ns1,cat\n")
    with pytest.raises(BadData, match=message):
        built(source)


def test_files_of_other_kinds_beside_labels_are_named(tmp_path: Path) -> None:
    source = arrays(tmp_path)
    (source / "a.npy").rename(source / "a.pkl")
    (source / "b.npz").rename(source / "b.pkl")
    with pytest.raises(BadData, match=r"no .npy, .npz, .*below .*arrays \(it has .pkl\); expected one file for each"):
        built(source, kind="arrays")
    with pytest.raises(BadData, match="a.pkl, b.pkl, labels.csv below .*, in all 2 of .pkl, 1 of .csv; .*kinds images"):
        built(source)


def test_a_table_beside_folders_of_classes_that_is_no_list_is_refused(tmp_path: Path) -> None:
    (pictures(tmp_path) / "prices.csv").write_text("file,price\na,1\n")
    with pytest.raises(BadData, match="prices.csv without column bag_id, label .*; or move it away, if it is no list"):
        built(tmp_path / "images")


def test_tables_and_folders_beside_those_of_classes_are_listed(tmp_path: Path) -> None:
    source = pictures(tmp_path, ("train", "validation"))
    (source / "more").mkdir()
    for name in ("a.csv", "b.csv"):
        (source / name).write_text("")
    found = built(source)
    assert Counter(rows(found)["split"]) == {"train": 4, "val": 4}
    assert read_manifest(found).left_out == (
        "more/: beside the folders of splits", "a.csv: not used as a list", "b.csv: not used as a list",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["missing", "text.txt"])
def test_a_source_of_an_unknown_kind_is_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(BadData, match="no file at|the file .*text.txt; expected one of the kinds images, audio"):
        built(tmp_path / name)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({"dtype": "int8"}, UnknownName), ({"bag_size": 0}, BadInput), ({"image_size": 65_536}, BadInput), ({"views": 1_000_000}, BadInput), ({"group_mb": 64}, BadInput), ({"kind": "x"}, UnknownName), ({"label_separator": ""}, BadInput)],
)  # fmt: skip
def test_settings_out_of_range_are_reported(tmp_path: Path, settings: dict[str, Any], kind: type[BadInput]) -> None:
    with pytest.raises(kind):
        built(csv(tmp_path), **settings)


@pytest.mark.parametrize("bags", [[[], []], [[[]], [[]]], [[[], []]], [None, []]])
def test_features_of_no_number_are_reported(tmp_path: Path, bags: list[Any]) -> None:
    features = pa.array(bags, pa.list_(pa.list_(pa.float32())))
    names = [f"b{number}" for number in range(len(bags))]
    pq.write_table(pa.table({"bag_id": names, "label": names, "features": features}), tmp_path / "bags.parquet")
    with pytest.raises(BadData, match="no number in the features of row 0"):
        built(tmp_path / "bags.parquet")


def test_a_flat_list_of_no_number_is_reported(tmp_path: Path) -> None:
    features = pa.array([[], []], pa.list_(pa.float32()))
    pq.write_table(pa.table({"bag_id": ["a", "b"], "label": ["x", "y"], "features": features}), tmp_path / "b.parquet")
    with pytest.raises(BadData, match="no number in the features of row 0"):
        built(tmp_path / "b.parquet")


def test_a_source_neither_file_nor_folder_is_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadData, match=r"a named pipe at .*pipe; expected a regular file"):
        built(tmp_path / "pipe")


def test_a_folder_of_other_things_is_not_made_a_table(tmp_path: Path) -> None:
    source = pictures(tmp_path)
    with pytest.raises(BadInput, match=r"found cat, dog in .*; expected an empty folder"):
        build_table(source, csv(tmp_path), BuildConfig())


def test_an_unwritable_place_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can't be (written|read)"):
        build_table(tmp_path / "file" / "table", csv(tmp_path), BuildConfig())
    with pytest.raises(BadInput, match=r"/proc/table, which can't be written .*; expected a writable folder"):
        build_table("/proc/table", csv(tmp_path), BuildConfig())


def test_files_left_by_a_killed_writer_are_harmless(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "bags-000001-0000-0123456789ab.parquet").write_text("")
    (tmp_path / "table" / ".making-0123").write_text("")
    assert read_manifest(built(csv(tmp_path))).rows == 4


def test_a_place_that_is_taken_is_reported(tmp_path: Path) -> None:
    built(csv(tmp_path))
    with pytest.raises(BadInput, match=r"a bag table at .* \(version 1\); expected an empty folder; add --append"):
        built(csv(tmp_path))


def test_appending_makes_a_version_and_keeps_the_old_one(tmp_path: Path) -> None:
    where = built(csv(tmp_path))
    build_table(where, csv(tmp_path, CSV.replace("\n", "\nnew-").removesuffix("new-")), BuildConfig(), append=True)
    first, second = (read_manifest(where, version) for version in versions(where))
    assert (first.version, second.version, second.rows) == (1, 2, 8)
    assert second.files[: len(first.files)] == first.files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV.replace(",x,y", ",x,y,z").replace("\n", ",1\n").replace("z,1", "z"), r"bags of features float32\[3\]; expected features float32\[2\]"),
        (CSV, "bag_id 'a' more than once"),
    ],
)  # fmt: skip
def test_a_failed_append_leaves_the_table_as_it_was(tmp_path: Path, text: str, message: str) -> None:
    where = built(csv(tmp_path))
    before = where.files()
    with pytest.raises(BadData, match=message):
        build_table(where, csv(tmp_path, text), BuildConfig(), append=True)
    assert where.files() == before


def interrupted(where: Location) -> None:
    with TableWriter(where, Payload("features", "float16", (6,)), group_mb=1e-4) as writer:
        writer.add(as_table(random_bags(50), third_positive(50)))
        raise KeyboardInterrupt


def test_a_writer_interrupted_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(Location.of(tmp_path / "table"))
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    where = built(csv(tmp_path))
    path = tmp_path / "table" / "manifest-000001.json"
    manifest = json.loads(path.read_text())
    for key in ("left_out", "images"):
        del manifest[key]
    del manifest["payload"]["sound"]
    path.write_text(json.dumps(manifest))
    assert len(open_pool(where, "cat")) == 1
    build_table(where, csv(tmp_path, CSV.replace("\n", "\nnew-").removesuffix("new-")), BuildConfig(), append=True)
    assert len(open_pool(where, "cat")) == 2


def test_an_undecodable_image_is_reported_by_the_table(tmp_path: Path) -> None:
    source = pictures(tmp_path)
    (source / "cat" / "0.png").write_bytes(b"no image")
    where = built(source)
    assert [line.partition(":")[0] for line in read_manifest(where).left_out] == ["cat/0.png"]


def test_declared_classes_may_be_targets(tmp_path: Path) -> None:
    where = built(csv(tmp_path), classes=("bird",))
    assert len(open_pool(where, "bird")) == 3


@pytest.mark.parametrize("column", ["bag_id", "labels", "n_instances", "features"])
def test_a_file_without_a_column_is_reported(column: str) -> None:
    schema = table_schema(Payload("features", "float16", (6,)))
    with pytest.raises(BadData, match=f"x.parquet without column .*{column}"):
        read_payload(schema.remove(schema.get_field_index(column)), "x.parquet")


def test_a_file_of_another_schema_is_reported() -> None:
    with pytest.raises(BadData, match="x.parquet of schema unknown; expected bags/1; build the table"):
        read_payload(pa.schema([("bag_id", pa.string())]), "x.parquet")


def test_a_column_of_another_type_is_reported() -> None:
    schema = table_schema(Payload("features", "float16", (6,)))
    wrong = schema.set(schema.get_field_index("labels"), pa.field("labels", pa.string()))
    with pytest.raises(BadData, match="x.parquet with labels of type string; expected list<"):
        read_payload(wrong, "x.parquet")


def test_a_table_is_described(tmp_path: Path) -> None:
    where = built(csv(tmp_path))
    manifest = read_manifest(where)
    text = describe_table(where, manifest, count_bags(where, manifest))
    for line in ("version 1", "4 bags of 5 instances (1 to 2 a bag, median 1)", "payload features float32[2]",
                 "splits: none 1, train 3", "(1 bags have none, 1 are unlabeled)", "  cat: 2", "  dog: 1"):  # fmt: skip
        assert line in text
