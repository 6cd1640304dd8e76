"""Rows with a list of images: bags of images, by the rules of other images."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Sequence
from PIL import Image as Picture

from negsift.common.data.hub_bags import HubBags
from negsift.common.data.table.bags import open_pool, open_positives
from negsift.common.data.table.build import build_table
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, read_manifest
from negsift.common.data.table.schema import ENCODED
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData, BadInput, NegsiftError
from tests.unit.sources import bags, png

SIZE = BuildConfig(image_size=8)
BROKEN = b"no image"


def pages(count: int, form: Any) -> Dataset:
    """Bags of 1, 2 and 3 images in turn, each image of one grey level."""
    rows = [
        [{"bytes": png(5 * number + image), "path": None} for image in range(1 + number % 3)] for number in range(count)
    ]
    kind = Features({"pages": form, "label": ClassLabel(names=["cat", "dog"])})
    return Dataset.from_dict({"pages": rows, "label": [number % 2 for number in range(count)]}, features=kind)


def levels(bag: dict[str, Any]) -> list[int]:
    return [int(np.asarray(Picture.open(io.BytesIO(image["bytes"]))).max()) for image in bag["instances"]]


def write(path: Path, lists: list[Any], kind: pa.DataType, **more: Any) -> Path:
    columns = {"pages": pa.array(lists, kind), "label": ["cat"] * len(lists)} | more
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("form", [List(Image()), Sequence(Image())])
def test_shards_of_lists_of_images_are_bags_of_images(form: Any, tmp_path: Path) -> None:
    whole = pages(40, form)
    for number in range(2):
        name = f"train-{number:05d}-of-00002.parquet"
        whole.shard(2, number, contiguous=True).to_parquet(tmp_path / "hub" / "data" / name)
    pages(3, form).to_parquet(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet")
    manifest = build_table(tmp_path / "table", tmp_path / "hub", SIZE)
    found = bags(tmp_path / "table")
    assert [levels(bag) for bag in found[:3]] == [[0], [5, 6], [10, 11, 12]]
    assert (manifest.rows, manifest.classes, str(manifest.payload)) == (43, ("cat", "dog"), "instances uint8[3, 8, 8]")
    assert [bag["split"] for bag in found] == ["train"] * 40 + ["test"] * 3
    assert found[21]["bag_id"] == "data/train-00001-of-00002-000001"


def test_a_save_to_disk_of_them_is_the_same_bags(tmp_path: Path) -> None:
    DatasetDict(train=pages(5, List(Image()))).save_to_disk(tmp_path / "saved")
    build_table(tmp_path / "table", tmp_path / "saved", SIZE)
    assert [levels(bag) for bag in bags(tmp_path / "table")] == [[0], [5, 6], [10, 11, 12], [15], [20, 21]]


@pytest.mark.parametrize("kind", [pa.list_(pa.binary()), pa.large_list(pa.large_binary()), pa.list_(pa.binary(), 2)])
def test_lists_of_bytes_are_the_same(kind: pa.DataType, tmp_path: Path) -> None:
    source = write(tmp_path / "x.parquet", [[png(1), png(2)], [png(3), png(4)]], kind, slide_id=["s", "t"])
    build_table(tmp_path / "table", source, SIZE)
    assert [(bag["bag_id"], levels(bag)) for bag in bags(tmp_path / "table")] == [("s", [1, 2]), ("t", [3, 4])]


def left_out(tmp_path: Path, lists: list[Any], **more: Any) -> Manifest:
    return build_table(tmp_path / "table", write(tmp_path / "x.parquet", lists, pa.list_(pa.binary()), **more), SIZE)


def test_broken_images_and_bags_without_any_are_left_out_and_listed(tmp_path: Path) -> None:
    whole = [[png(1), BROKEN, png(2)], [], None, [BROKEN], [None, png(3)], *[[png(4)] * 2] * 4]
    ids = [f"b{number}" for number in range(9)]
    manifest = left_out(tmp_path, whole, bag_id=ids)
    broken = ["b0 image 1: unknown image format", "b3 image 0: unknown image format", "b4 image 0: no image"]
    assert manifest.left_out == (*broken, "b1: no instances", "b2: no instances")
    assert [levels(bag) for bag in bags(tmp_path / "table")] == [[1, 2], [3], *[[4, 4]] * 4]


def test_more_broken_images_than_whole_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match="2 of 3 images missing or unusable .first: x-000000 image 0: unknown image format"
    ):
        left_out(tmp_path, [[BROKEN, BROKEN], [png(1)]])


def test_images_are_turned_upright_and_brought_to_eight_bits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    turned, deep, exif = io.BytesIO(), io.BytesIO(), Picture.Exif()
    exif[0x0112] = 3  # upside down
    Picture.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(turned, "PNG", exif=exif)
    Picture.fromarray(np.full((8, 8), 1000, np.uint16)).save(deep, "PNG")
    left_out(tmp_path, [[turned.getvalue(), deep.getvalue()]])
    (bag,) = open_positives(tmp_path / "table", "cat")
    np.testing.assert_array_equal(bag[0, 0], np.arange(64)[::-1].reshape(8, 8))
    assert (bag[1].unique().tolist(), bag.shape) == ([1000 >> 8], (2, 3, 8, 8))
    assert "1 images of 16 bits have no value above 4,095 (such as x-000000 image 1)" in caplog.text


def test_of_several_columns_of_bags_key_names_one(tmp_path: Path) -> None:
    both = {"features": [[[1.0, 2.0]], [[3.0, 4.0]]], "image": pa.array([{"bytes": png(9)}] * 2, ENCODED)}
    source = write(tmp_path / "x.parquet", [[png(1)], [png(2)]], pa.list_(pa.binary()), **both)
    with pytest.raises(
        BadData, match="columns pages, image, features in .*; expected one column of bags; name it: key="
    ):
        build_table(tmp_path / "nope", source, SIZE)
    with pytest.raises(BadInput, match=r"key=nope of .*; expected one of its columns, pages"):
        build_table(tmp_path / "nope", source, BuildConfig(key="nope"))
    single = BuildConfig(key="image", bag_size=1)
    for key, column in (("features", "features"), ("pages", "instances"), ("image", "instances")):
        build_table(tmp_path / key, source, single if key == "image" else BuildConfig(key=key))
        assert read_manifest(Location.of(tmp_path / key)).payload.column == column
    assert [sorted(map(levels, bags(tmp_path / key))) for key in ("pages", "image")] == [[[1], [2]], [[9], [9]]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views": 2}, "views=2 for a row that is a bag already; expected a setting that it uses; leave views out"),
        ({"bag_size": 3}, "bag_size=3 for a row that is a bag already"),
        ({"prefix": "a"}, "prefix=a for a row that is a bag already"),
        ({"dtype": "float16"}, "dtype=float16 for a source of images"),
        ({"label_column": "grade"}, "without column grade .it has pages, label, slide_id."),
    ],
)
def test_settings_that_do_not_go_with_them_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    source = write(tmp_path / "x.parquet", [[png(1)]], pa.list_(pa.binary()))
    with pytest.raises(NegsiftError, match=message):
        build_table(tmp_path / "table", source, replace(SIZE, **settings))


def test_a_dataset_of_them_is_a_pool_of_the_same_tensors(tmp_path: Path) -> None:
    rows = pages(7, List(Image()))
    rows.to_parquet(tmp_path / "x.parquet")
    build_table(tmp_path / "table", tmp_path / "x.parquet", SIZE)
    hub = HubBags.of(rows)
    expected = [bag for label in ("dog", "cat") for bag in open_pool(tmp_path / "table", label)]
    found = [*hub.__getitems__(range(0, 7, 2)), *hub.__getitems__(range(1, 7, 2))]
    assert [bag.shape[0] for bag in found] == [1, 3, 2, 1, 2, 1, 3]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([png(1), BROKEN], "image 'row 1 image 1' undecodable .unknown image format.*; give the dataset without it"),
        ([], "row 1 without an image; expected one or more in each; give the dataset without it"),
    ],
)
def test_a_row_of_a_dataset_that_cannot_be_used_is_named(row: list[bytes], message: str) -> None:
    hub = HubBags.of(Dataset.from_dict({"pages": [[png(1)], row]}))
    with pytest.raises(BadData, match=message):
        hub.__getitems__([0, 1])
