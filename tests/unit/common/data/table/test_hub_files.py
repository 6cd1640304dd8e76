"""What Hugging Face's `datasets` writes: shards of Parquet, `save_to_disk`, its class names and hidden classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Array2D, ClassLabel, Dataset, DatasetDict, Features, Image, Sequence, Value

from negsift.common.data.table.bags import open_pool
from negsift.common.data.table.build import build_table
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.data.table.sources.encoded_images import encoded_images
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData, BadInput
from tests.unit.clips import SMALL, encoded_clip
from tests.unit.full_disk import largest_file
from tests.unit.sources import bags, built, png

CLASSES = ["cat", "dog"]
SPLITS = {"train": 12, "validation": 4, "test": 5}


def images(count: int, label: Any = None) -> Dataset:
    rows = {"image": [{"bytes": png(number), "path": None} for number in range(count)]}
    features = Features({"image": Image(), "label": label or ClassLabel(names=CLASSES)})
    return Dataset.from_dict(rows | {"label": [number % 2 for number in range(count)]}, features=features)


def sounds(count: int) -> Dataset:
    rows = {"audio": [{"bytes": encoded_clip(number), "path": f"{number}.flac"} for number in range(count)]}
    # The columns that Audio() makes of encoded files; making them by Audio() needs torchcodec.
    return Dataset.from_dict(rows | {"category": [CLASSES[number % 2] for number in range(count)]})


def vectors(count: int) -> Dataset:
    rows = {"features": [[[number, row] for row in range(1 + number % 3)] for number in range(count)]}
    kind = {"features": Sequence(Sequence(Value("float32"))), "label": ClassLabel(names=CLASSES)}
    return Dataset.from_dict(rows | {"label": [number % 2 for number in range(count)]}, features=Features(kind))


def matrices(count: int) -> Dataset:
    rows = {"features": [np.full((3, 2), number, np.float32) for number in range(count)], "label": [0] * count}
    return Dataset.from_dict(rows, features=Features({"features": Array2D((3, 2), "float32"), "label": Value("int64")}))


MAKERS = {"images": images, "sounds": sounds, "vectors": vectors, "matrices": matrices}


def hub(root: Path, kind: str) -> Path:
    """As on the hub: data/SPLIT-NUMBER-of-COUNT.parquet."""
    (root / "hub" / "data").mkdir(parents=True)
    for split, count in SPLITS.items():
        whole = MAKERS[kind](count)
        for number in range(2):
            name = f"{split}-{number:05d}-of-00002.parquet"
            whole.shard(2, number, contiguous=True).to_parquet(root / "hub" / "data" / name)
    (root / "hub" / "README.md").write_text("---\n")
    return root / "hub"


def converted(root: Path, kind: str) -> Path:
    """As in the hub's own conversion: CONFIG/SPLIT/NUMBER.parquet."""
    for split, count in SPLITS.items():
        (root / "hub" / "default" / split).mkdir(parents=True)
        MAKERS[kind](count).to_parquet(root / "hub" / "default" / split / "0000.parquet")
    return root / "hub"


def saved(root: Path, kind: str) -> Path:
    DatasetDict({split: MAKERS[kind](count) for split, count in SPLITS.items()}).save_to_disk(
        root / "hub", num_shards={"train": 2, "validation": 1, "test": 1}
    )
    return root / "hub"


def by_split(found: list[dict[str, Any]]) -> dict[str, int]:
    return {split: sum(bag["split"] == split for bag in found) for split in ("train", "val", "test")}


@pytest.mark.parametrize("layout", [hub, converted, saved])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_folder_of_shards_is_one_source_with_splits(layout: Any, kind: str, tmp_path: Path) -> None:
    audio = {"seconds": SMALL.seconds, "mels": SMALL.mels, "frames": SMALL.frames, "label_column": "category"}
    found = built(layout(tmp_path, kind), **(audio if kind == "sounds" else {}))
    assert by_split(found) == {"train": 12, "val": 4, "test": 5}
    if kind == "vectors":
        train = [bag for bag in found if bag["split"] == "train"]
        assert [bag["features"][0][0] for bag in train] == list(range(12))
        assert [bag["labels"] for bag in train] == [[CLASSES[number % 2]] for number in range(12)]
    if kind == "sounds":
        assert {bag["audio"]["bytes"] for bag in found} == {encoded_clip(number) for number in range(12)}
    if kind == "images":
        assert {tuple(bag["labels"]) for bag in found} == {("cat",), ("dog",)}
    if kind == "matrices":
        assert all(bag["features"] == [bag["features"][0]] * 3 for bag in found)


def test_one_saved_dataset_is_a_source(tmp_path: Path) -> None:
    vectors(7).select([5, 1, 3]).save_to_disk(tmp_path / "saved")
    assert [bag["features"][0][0] for bag in built(tmp_path / "saved")] == [5, 1, 3]


@pytest.mark.parametrize("layout", [hub, saved])
def test_the_hidden_class_is_unlabeled(layout: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(count: int) -> Dataset:
        return images(count).map(
            lambda row, number: {"label": -1 if number % 4 == 0 else number % 2}, with_indices=True
        )

    monkeypatch.setitem(MAKERS, "images", hidden)
    found = [bag["labels"] for bag in built(layout(tmp_path, "images")) if bag["split"] == "train"]
    assert (found.count(None), found.count(["cat"]), found.count(["dog"])) == (3, 3, 6)


@pytest.mark.parametrize("kind", [Sequence(ClassLabel(names=[*CLASSES, "owl"])), [ClassLabel(names=[*CLASSES, "owl"])]])
def test_lists_of_classes_keep_their_names(kind: Any, tmp_path: Path) -> None:
    rows = {"image": [{"bytes": png(number), "path": None} for number in range(9)]}
    labels = [[number % 3] if number % 2 else [0, 2] for number in range(9)]
    features = Features({"image": Image(), "labels": kind})
    Dataset.from_dict(rows | {"labels": labels}, features=features).save_to_disk(tmp_path / "saved")
    found = {bag["instances"][0]["bytes"]: bag["labels"] for bag in built(tmp_path / "saved")}
    names = [*CLASSES, "owl"]
    assert found == {png(number): sorted(names[label] for label in labels[number]) for number in range(9)}


def test_images_of_parquet_shards_lie_on_disk_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache = hub(tmp_path, "images"), tmp_path / "cache"
    monkeypatch.setenv("NEGSIFT_CACHE", str(cache))
    before = pa.total_allocated_bytes()
    images = encoded_images(root, BuildConfig())
    assert pa.total_allocated_bytes() - before < 4096
    assert list(cache.iterdir()) == []
    assert {image.read() for image in images} == {png(number) for number in range(12)}
    del images
    with largest_file(100), pytest.raises(BadInput, match=r"cache, where images can't be kept .*File too large.*"):
        encoded_images(root, BuildConfig())


def test_images_that_are_paths_alone_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png(0))
    rows = {"image": [{"bytes": None, "path": str(tmp_path / "x.png")}] * 4, "label": [0, 1, 0, 1]}
    features = Features({"image": Image(decode=False), "label": Value("int64")})
    (tmp_path / "hub").mkdir()
    Dataset.from_dict(rows, features=features).data.table.to_pandas().to_parquet(tmp_path / "hub" / "train.parquet")
    with pytest.raises(BadData, match=r"4 of 4 images missing or unusable \(first: .*no image, but the path '/"):
        built(tmp_path / "hub")


def test_every_shard_is_a_bag_once_whatever_the_order_of_files(tmp_path: Path) -> None:
    source = hub(tmp_path, "vectors")
    manifest = build_table(tmp_path / "one", source, BuildConfig())
    assert (manifest.rows, len(open_pool(tmp_path / "one", "dog"))) == (21, 6)
    assert len({bag["bag_id"] for bag in bags(tmp_path / "one")}) == 21
    assert read_manifest(Location.of(tmp_path / "one")).left_out == ()


@pytest.mark.parametrize(
    ("layout", "gone", "message"),
    [
        (hub, "data/train-00001-of-00002.parquet", "1 of the 2 files train-\\*-of-00002 in .*data; expected all of them"),
        (saved, "train/data-00001-of-00002.arrow", "1 of the 2 files data-\\*-of-00002"),
        (saved, "validation/data-00000-of-00001.arrow", "no data-00000-of-00001.arrow, which .*state.json lists"),
    ],
)  # fmt: skip
def test_a_missing_shard_is_refused(layout: Any, gone: str, message: str, tmp_path: Path) -> None:
    source = layout(tmp_path, "vectors")
    next(source.glob(gone)).unlink()
    with pytest.raises(BadData, match=message):
        built(source)


@pytest.mark.parametrize("content", ["[]", "{", '{"_data_files": [{"filename": "other.arrow"}]}'])
def test_files_other_than_save_to_disk_lists_are_refused(content: str, tmp_path: Path) -> None:
    source = saved(tmp_path, "vectors") / "test"
    (source / "state.json").write_text(content)
    with pytest.raises(BadData, match=r"state.json (unreadable|does not list)"):
        built(source)


def test_one_shard_of_several_may_be_given(tmp_path: Path) -> None:
    found = built(hub(tmp_path, "vectors") / "data" / "test-00001-of-00002.parquet")
    assert [bag["split"] for bag in found] == ["test"] * 2


@pytest.mark.parametrize("name", ["image", "picture"])
def test_the_only_column_of_files_has_the_images(name: str, tmp_path: Path) -> None:
    table = images(6).data.table.rename_columns([name, "label"]).append_column("width", pa.array([8] * 6))
    pq.write_table(table.replace_schema_metadata(), tmp_path / "images.parquet")
    assert {bag["instances"][0]["bytes"] for bag in built(tmp_path / "images.parquet")} == {png(n) for n in range(6)}
    two = table.append_column("mask", table[name])
    pq.write_table(two.replace_schema_metadata(), tmp_path / "two.parquet")
    (tmp_path / "table").rename(tmp_path / "first")
    assert len(built(tmp_path / "two.parquet", key="mask")) == 6


def test_rows_of_audio_have_splits_and_groups_of_their_own(tmp_path: Path) -> None:
    table = sounds(4).data.table.append_column("part", pa.array(["train", "train", "dev", "dev"]))
    pq.write_table(table.append_column("who", pa.array([7, 7, 8, 8])), tmp_path / "sounds.parquet")
    settings = {"seconds": SMALL.seconds, "mels": SMALL.mels, "frames": SMALL.frames, "label_column": "category"}
    found = built(tmp_path / "sounds.parquet", split_column="part", group_column="who", **settings)
    assert [(bag["split"], bag["group_id"]) for bag in found] == [("train", "7")] * 2 + [("val", "8")] * 2


def test_images_as_bytes_alone_are_the_same(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [png(n) for n in range(6)], "label": [0, 1] * 3}), tmp_path / "images.parquet")
    assert {bag["instances"][0]["bytes"] for bag in built(tmp_path / "images.parquet")} == {png(n) for n in range(6)}


@pytest.mark.parametrize("cut", [8, 4])
def test_a_stream_of_arrow_that_ends_at_a_batch_is_refused(cut: int, tmp_path: Path) -> None:
    vectors(10).save_to_disk(tmp_path / "hub")
    (path,) = (tmp_path / "hub").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(BadData, match="arrow unreadable .cut between two batches"):
        built(path)
