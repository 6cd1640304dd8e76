"""Bags that are rows of a table of images: the bags of copies, each image kept and decoded once."""

import json
import pickle
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from negsift.common.data.table import row_group_cache
from negsift.common.data.table.bags import TableBags, open_pool
from negsift.common.data.table.build import build_table
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest, read_manifest
from negsift.common.data.table.memory_use import READING_BYTES, streaming_bytes
from negsift.common.data.table.reader import RowGroupReader
from negsift.common.data.table.row_group_stream import RowGroupStream
from negsift.common.data.table.schema import Payload
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.statistics import count_bags, describe_table, verify
from negsift.common.data.table.writer import TableWriter
from negsift.common.errors import BadData, BadInput
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from tests.unit.toys import assert_same, select

CNN = make_model(ModelConfig(), (3, 16, 16), 0)
SMALL = {"bag_size": 3, "image_size": 16, "group_mb": 0.02}
COUNT, TEST = 40, 10


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes, 40 training and 10 test images each."""
    root, random = tmp_path_factory.mktemp("images") / "photos", np.random.default_rng(0)
    for split, count in (("train", COUNT), ("test", TEST)):
        for name in ("bird", "cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


def build(images: Path, where: Path, *, append: bool = False, **more: Any) -> Manifest:
    return build_table(where, images, BuildConfig(**SMALL | more), append)  # type: ignore[arg-type]  # of many types


@pytest.fixture(scope="module")
def where(images: Path) -> Path:
    build(images, images.parent / "views", views=3)
    return images.parent / "views"


@pytest.fixture
def pool(where: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TableBags:
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(row_group_cache, "IN_USE", WeakValueDictionary())  # nothing of other tests
    return open_pool(where, "bird")


def rows(where: Path) -> list[dict[str, Any]]:
    manifest = read_manifest(Location.of(where))
    return pa.concat_tables(pq.read_table(where / file.name) for file in manifest.files).to_pylist()


def pictures(where: Path) -> list[tuple[str, Tensor]]:
    """The instance table as a loop reads it: the class and the pixels of every row."""
    manifest, found = read_manifest(Location.of(where)), []
    for file in manifest.images:
        for row in pq.read_table(where / file.name).to_pylist():
            path = where.parent / "photos" / row["image"]["path"]
            assert row["image"]["bytes"] == path.read_bytes()
            found.append((path.parent.name, torch.from_numpy(np.array(Image.open(path)).transpose(2, 0, 1))))
    return found


def test_bags_are_the_rows_they_name(where: Path, pool: TableBags) -> None:
    known, named = pictures(where), {row["bag_id"]: row for row in rows(where)}
    for bag, name in zip(pool, pool.bag_id(np.arange(len(pool))), strict=True):
        row = named[name]
        assert torch.equal(bag, torch.stack([known[at][1] for at in row["instance_rows"]]))
        assert row["labels"] == sorted({known[at][0] for at in row["instance_rows"]})
        assert (row["split"], "bird" in row["labels"]) == ("train", False)


def test_views_survive_pickling(pool: TableBags) -> None:
    bag = pool[5]
    assert torch.equal(pickle.loads(pickle.dumps(pool))[5], bag)


def test_every_image_is_in_the_bags_asked_for_and_kept_once(where: Path) -> None:
    counts = Counter(at for row in rows(where) for at in row["instance_rows"])
    assert counts == dict.fromkeys(range(3 * (COUNT + TEST)), 3)
    assert read_manifest(Location.of(where)).instance_table.rows == len(counts)


def test_bags_in_which_each_image_is_once_are_those_of_copies(images: Path, tmp_path: Path) -> None:
    build(images, tmp_path / "copies")
    build(images, tmp_path / "views", views=1)
    one, other = (open_pool(tmp_path / name, "cat") for name in ("copies", "views"))
    everything = np.arange(len(one))
    assert one.bag_id(everything) == other.bag_id(everything)
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("shards", [1, 2, 7])
@pytest.mark.parametrize("name", ["badge", "entropy"])
def test_views_are_the_same_pool_as_their_bags_in_memory(where: Path, pool: TableBags, name: str, shards: int) -> None:
    alone = select(list(pool), CNN, name, 9, shards=1)
    assert_same(select(where, CNN, name, 9, shards=shards, target_label="bird"), alone)  # type: ignore[arg-type]  # a path


def test_every_image_is_decoded_once(where: Path, pool: TableBags, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = RowGroupStream(pool.row_index, range(len(pool)), DecodingBudget(streaming_bytes(pool.row_index)))
    assert scan.images is not None
    table, seen, read = scan.images.row_index.manifest, list[int](), RowGroupReader.read

    def noting(reader: RowGroupReader, place: tuple[int, int], column: str, rows: int) -> Iterator[pa.Array]:
        if column == table.payload.column:
            seen.append(table.groups.index(place))
        return read(reader, place, column, rows)

    monkeypatch.setattr(RowGroupReader, "read", noting)
    for _ in range(2):
        for start in range(0, len(pool), 8):
            scan.gather(np.arange(start, min(start + 8, len(pool))))
    viewed = {
        at
        for row in rows(where)
        if row["split"] == "train" and "bird" not in row["labels"]
        for at in row["instance_rows"]
    }
    assert sorted(seen) == np.unique(scan.images.row_index.groups_of(np.array(sorted(viewed)))).tolist()
    assert len(seen) > 3
    assert sorted(scan.images.resident) == sorted(seen)


def test_room_for_the_instance_table_is_in_the_budget(pool: TableBags, where: Path) -> None:
    assert pool.row_index.images is not None
    whole = 3 * (COUNT + TEST) * 16 * 16 * 3
    assert streaming_bytes(pool.row_index) > whole + streaming_bytes(pool.row_index.images) > whole + READING_BYTES
    tight = FleetConfig(pool_mb=streaming_bytes(pool.row_index) >> 20)
    with pytest.raises(BadInput, match="for decoded bags; expected .* raise fleet.pool_mb"):
        NegativeSampler(where, CNN, strategy="entropy", k=3, target_label="bird", options=tight)


def test_appended_views_are_of_their_own_images(images: Path, where: Path, tmp_path: Path) -> None:
    shutil.copytree(where, tmp_path / "views")
    before = open_pool(tmp_path / "views", "bird")
    build(images / "test", tmp_path / "views", views=1, append=True, prefix="more")
    after = before.at(None)
    assert (after.version, after.manifest.instance_table.rows) == (2, 3 * (COUNT + TEST) + 3 * TEST)
    alone = build(images / "test", tmp_path / "alone", views=1, prefix="more")
    fresh = open_pool(tmp_path / "alone", "bird")
    assert alone.rows > 3
    for one, other in zip(after, [*before, *fresh], strict=True):
        assert torch.equal(one, other)


def test_broken_images_get_no_rows(images: Path, tmp_path: Path) -> None:
    shutil.copytree(images, tmp_path / "photos")
    (tmp_path / "photos" / "train" / "cat" / "0.png").write_bytes(b"no image")
    made = build(tmp_path / "photos", tmp_path / "views", views=2)
    assert (made.instance_table.rows, made.instances) == (3 * (COUNT + TEST) - 1, 2 * (3 * (COUNT + TEST) - 1))
    assert len(made.left_out) == 1
    assert made.left_out[0].startswith("train/cat/0.png: ")
    test_bags_are_the_rows_they_name(tmp_path / "views", open_pool(tmp_path / "views", "bird"))
    for path in (tmp_path / "photos").rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(BadData, match="150 of 150 images missing or unusable"):
        build(tmp_path / "photos", tmp_path / "other", views=2)
    assert not Location.of(tmp_path / "other").files()


def test_a_changed_image_file_is_reported(where: Path, tmp_path: Path) -> None:
    shutil.copytree(where, tmp_path / "views")
    path = next((tmp_path / "views").glob("images-*.parquet"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(BadData, match=r"bytes at .*images-.*parquet; expected .* as the manifest lists"):
        open_pool(tmp_path / "views", "bird")
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(BadData, match=r"row group 0 of .*images-.*parquet changed"):
        verify(Location.of(tmp_path / "views"), read_manifest(Location.of(tmp_path / "views")))


def test_rows_that_no_image_has_are_reported(tmp_path: Path) -> None:
    bags = pa.table({"bag_id": ["a"], "labels": [[]], "instance_rows": [[0, 1]]})
    with (
        pytest.raises(BadData, match="instance_rows from 0 to 1; expected rows of the 0 images added"),
        TableWriter(Location.of(tmp_path / "t"), Payload("instance_rows", "uint8", (3, 16, 16))) as writer,
    ):
        writer.add(bags)
    assert not list((tmp_path / "t").glob("*"))


def test_a_table_of_views_is_described(where: Path) -> None:
    place = Location.of(where)
    manifest = read_manifest(place)
    assert "payload instance_rows uint8[3, 16, 16] of a table of 150\n" in describe_table(
        place, manifest, count_bags(place, manifest)
    )
    assert json.loads((where / "manifest-000001.json").read_text())["images"][0]["digest"] == manifest.images[0].digest


def test_a_negative_number_of_views_is_reported() -> None:
    with pytest.raises(BadInput, match="found views=-1; expected 0 or more and below 10001; correct views"):
        BuildConfig(views=-1)


def test_bags_of_more_images_than_there_are_are_reported(images: Path, tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match=r"found bags of 1000000000 instances \(bag_size\); expected at most the 150 there"
    ):
        build_table(tmp_path / "t", images, BuildConfig(bag_size=10**9, views=2))
    assert not (tmp_path / "t").exists()
