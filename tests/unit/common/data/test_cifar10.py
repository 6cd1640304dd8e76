"""CIFAR-10 in its forms: Hugging Face's parquet, the python batches, and errors in broken ones."""

import io
import json
import os
import pickle
from collections.abc import Sequence
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from negsift.common.data.catalogue import load_split
from negsift.common.data.cifar10 import CLASSES, load
from negsift.common.data.config import DataConfig
from negsift.common.data.instances import Instances
from negsift.common.errors import BadData, BadInput

REAL = Path(__file__).parents[5] / "shared" / "data" / "cifar10"
NAMES = tuple("abcdefghij")


def png(level: int, side: int = 32) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), level, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write(path: Path, items: Sequence[bytes | None], column: str = "img", names: Sequence[str] = ()) -> None:
    structs = [{"bytes": item, "path": None} for item in items]
    table = pa.table({column: pa.array(structs, IMAGE), "label": np.arange(len(items)) % 10})
    features = {"label": {"names": list(names), "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if names else None
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path)


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
GOOD = [png(level) for level in range(6)]


def read(root: Path) -> tuple[Instances, Instances]:
    return load(DataConfig(name="cifar10", root=str(root)))


def parquet(root: Path, train: Sequence[bytes | None] = GOOD, **options: Any) -> Path:  # Any: those of `write`
    write(root / "plain_text" / "train-00000-of-00001.parquet", train, **options)
    write(root / "plain_text" / "test-00000-of-00001.parquet", GOOD[:2], **options)
    return root


@pytest.mark.parametrize("column", ["img", "image"])
def test_parquet_is_read_with_either_column(tmp_path: Path, column: str) -> None:
    train, test = read(parquet(tmp_path, column=column))
    assert (train.images.shape, test.images.shape) == ((6, 3, 32, 32), (2, 3, 32, 32))
    assert train.images[:, 0, 0, 0].tolist() == train.labels.tolist() == [0, 1, 2, 3, 4, 5]


def test_parquet_of_several_files_is_read_in_order(tmp_path: Path) -> None:
    parquet(tmp_path)
    write(tmp_path / "plain_text" / "train-more.parquet", [png(77)])
    assert read(tmp_path)[0].images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 77]


@pytest.mark.parametrize(("names", "expected"), [(NAMES, NAMES), ((), CLASSES)])
def test_class_names_come_from_the_parquets_schema(tmp_path: Path, names: Sequence[str], expected: object) -> None:
    assert read(parquet(tmp_path, names=names))[0].classes == expected


@pytest.mark.parametrize("broken", [GOOD[0][:60], b"", b"text", None, png(9, side=8)])
def test_image_that_does_not_decode_is_dropped_and_listed(tmp_path: Path, broken: bytes | None) -> None:
    train, _ = read(parquet(tmp_path, [GOOD[0], broken, GOOD[2]]))
    assert train.labels.tolist() == train.images[:, 0, 0, 0].tolist() == [0, 2]
    assert len(train.dropped) == 1
    assert "row 1" in train.dropped[0]


def test_row_without_an_image_is_dropped_and_listed(tmp_path: Path) -> None:
    parquet(tmp_path)
    table = pa.table({"img": pa.array([{"bytes": GOOD[0]}, None, {"bytes": GOOD[2]}], IMAGE), "label": [0, 1, 2]})
    pq.write_table(table, tmp_path / "plain_text" / "train-00000-of-00001.parquet")
    train, _ = read(tmp_path)
    assert (train.labels.tolist(), len(train.dropped)) == ([0, 2], 1)


def test_mostly_broken_images_are_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="2 of 3 images"):
        read(parquet(tmp_path, [GOOD[0], b"x", b"y"]))


def test_parquet_without_rows_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no image in"):
        read(parquet(tmp_path, []))


@pytest.mark.parametrize(
    "columns",
    [
        {"picture": [1], "label": [0]},
        {"img": [{"bytes": GOOD[0]}], "fine_label": [0]},
        {"img": [GOOD[0]], "label": [0]},
    ],
    ids=["no image column", "no label", "image column of bytes"],
)
def test_other_columns_are_bad_data_that_names_the_file(tmp_path: Path, columns: dict[str, list[object]]) -> None:
    pq.write_table(pa.table(columns), parquet(tmp_path) / "plain_text" / "train-00000-of-00001.parquet")
    with pytest.raises(BadData, match=r"train-00000-of-00001\.parquet.*label, integers, and img or image"):
        read(tmp_path)


def test_corrupt_parquet_is_bad_data_that_names_the_file(tmp_path: Path) -> None:
    path = parquet(tmp_path) / "plain_text" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadData, match=r"train-00000-of-00001\.parquet unreadable.*a parquet file"):
        read(tmp_path)


def batches(root: Path) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        pixels = np.full((2, 3072), number, dtype=np.uint8)
        pixels[:, :1024] += 100
        content = {b"batch_label": b"toy", b"labels": [number, 9], b"data": pixels, b"filenames": [b"a", b"b"]}
        (folder / name).write_bytes(pickle.dumps(content))
    return root


def test_python_batches_are_read_in_order(tmp_path: Path) -> None:
    train, test = read(batches(tmp_path))
    assert train.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert (len(test), test.classes) == (2, CLASSES)


def test_python_batches_are_channels_first(tmp_path: Path) -> None:
    image = read(batches(tmp_path))[0].images[2]
    assert [int(channel.min()) for channel in image] == [int(channel.max()) for channel in image] == [101, 1, 1]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"text", pickle.dumps([1]), pickle.dumps({b"labels": [1]}), pickle.dumps({b"data": b"xy", b"labels": [1]}),
        pickle.dumps({b"data": np.zeros((2, 3072), dtype=np.uint8), b"labels": [1]}),
    ],
    ids=["empty", "text", "a list", "no data", "odd data", "a label too few"],
)  # fmt: skip
def test_broken_batch_is_bad_data_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (batches(tmp_path) / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(BadData, match=r"data_batch_3.*python batch"):
        read(tmp_path)


@pytest.mark.parametrize("folder", ["", "missing"])
def test_folder_without_any_form_is_bad_data(tmp_path: Path, folder: str) -> None:
    with pytest.raises(BadData, match=r"no train\*\.parquet and no python batches below .*data\.download=true"):
        read(tmp_path / folder)


def test_no_root_is_bad_data() -> None:
    with pytest.raises(BadData, match=r"no data\.root"):
        load(DataConfig(name="cifar10"))


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / "test.parquet").exists(), reason="shared/data/cifar10 is not beside the checkout")
def test_real_cifar10_has_its_classes_and_images(tmp_path: Path) -> None:
    (tmp_path / "test.parquet").symlink_to(REAL / "test.parquet")
    write(tmp_path / "train.parquet", GOOD, names=CLASSES)
    _, test = read(tmp_path)
    assert (test.images.shape, test.classes, test.dropped) == ((10_000, 3, 32, 32), CLASSES, ())
    assert np.bincount(test.labels).tolist() == [1_000] * 10


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 10], "labels from 0 to 10 in .*of the 10 classes"), ([-1, 0, 1], "labels from -1 to 1"),
        ([0, None, 1], "1 of 3 rows in .* without a label"), (["0", "1", "2"], "label: string.*label, integers"),
        ([0.0, 1.0, 2.0], "label: double.*label, integers"),
    ],
)  # fmt: skip
def test_labels_that_number_no_class_are_bad_data(tmp_path: Path, labels: list[object], message: str) -> None:
    table = pa.table({"img": pa.array([{"bytes": item} for item in GOOD[:3]], IMAGE), "label": labels})
    pq.write_table(table, parquet(tmp_path) / "plain_text" / "train-00000-of-00001.parquet")
    with pytest.raises(BadData, match=message):
        read(tmp_path)


def test_files_may_name_their_image_column_differently(tmp_path: Path) -> None:
    parquet(tmp_path, column="img")
    write(tmp_path / "plain_text" / "train-more.parquet", [png(77), b"x"], column="image")
    train, _ = read(tmp_path)
    assert train.images[-1].max() == 77
    assert [line.split(":")[0] for line in train.dropped] == ["train-more.parquet row 1"]


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    (parquet(tmp_path) / "train-gone.parquet").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadData, match=r"train-gone\.parquet unreadable"):
        read(tmp_path)


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    (batches(tmp_path) / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(BadData, match=r"no data_batch_4 beside .*data_batch_1; expected .*all python batches"):
        read(tmp_path)


def test_labels_of_a_batch_number_the_classes(tmp_path: Path) -> None:
    content = {b"data": np.zeros((2, 3072), dtype=np.uint8), b"labels": [3, 10]}
    (batches(tmp_path) / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(content))
    with pytest.raises(BadData, match="labels from 3 to 10 in .*data_batch_2"):
        read(tmp_path)


class Program:
    """Pickles as a call of any function."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:  # Any: a function
        return os.mkdir, (str(self.path),)


def test_a_pickled_program_is_not_run(tmp_path: Path) -> None:
    content = {b"data": Program(tmp_path / "made"), b"labels": [1]}
    (batches(tmp_path) / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(content))
    with pytest.raises(BadData, match=r"data_batch_2 unreadable \(it contains a posix\.mkdir\)"):
        read(tmp_path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_batches_of_every_pickle_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    content = {b"data": np.full((2, 3072), 7, dtype=np.uint8), b"labels": [3, 5]}
    for path in (batches(tmp_path) / "cifar-10-batches-py").iterdir():
        path.write_bytes(pickle.dumps(content, protocol))
    assert read(tmp_path)[1].labels.tolist() == [3, 5]


@pytest.mark.parametrize("error", [OSError("unreachable"), RuntimeError("corrupted"), IncompleteRead(b"")])
def test_a_failed_download_is_bad_data(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.datasets.CIFAR10", fail)
    with pytest.raises(BadData, match="download failed.*expected a connection.*download CIFAR-10 by hand"):
        load(DataConfig(name="cifar10", root=str(tmp_path), download=True))
    assert len(load(DataConfig(name="cifar10", root=str(parquet(tmp_path)), download=True))[0]) == 6


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"found the file .*train-00000-of-00001\.parquet; expected the folder"):
        read(parquet(tmp_path) / "plain_text" / "train-00000-of-00001.parquet")


def test_an_image_size_that_would_be_ignored_is_refused() -> None:
    for name, size in (("cifar10", 64), ("digits", 20)):
        with pytest.raises(BadInput, match=rf"data\.image_size={size} with {name}"):
            load_split(DataConfig(name=name, root="anywhere", image_size=size))


def test_a_missing_shard_is_refused(tmp_path: Path) -> None:
    write(parquet(tmp_path) / "plain_text" / "train-00000-of-00002.parquet", GOOD)
    with pytest.raises(BadData, match="1 of the 2 files train-.*-of-00002 in .*plain_text; expected all of them"):
        read(tmp_path)
