"""CIFAR-10 (Krizhevsky 2009), from whichever of its three forms lies in `data.root`."""

import io
import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from common.data.instances import UNDECODABLE, Instances, decode_once, require_half
from common.data.split import DataConfig
from common.errors import BadData

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load(config: DataConfig) -> tuple[Instances, Instances]:
    """Training and test images, (M, 3, 32, 32) uint8.

    `data.root` holds Hugging Face's parquet files (`train*.parquet` and `test*.parquet`, at any depth,
    with an `img` or `image` column), or the official python batches; with `data.download=true`
    torchvision fetches the latter. Raises BadData where neither is found or a file is broken.
    """
    if config.root is None:
        raise BadData("no data.root", "the folder that holds CIFAR-10", "add --set data.root=FOLDER")
    root = Path(config.root).expanduser()
    if config.download:
        _download(root)
    return _load_part(root, "train"), _load_part(root, "test")


def _load_part(root: Path, part: str) -> Instances:
    parquet = sorted(root.rglob(f"{part}*.parquet"))
    if parquet:
        return decode_once("cifar10", parquet, lambda: _read_parquet(parquet), part=part)
    batches = sorted(root.rglob("data_batch_[1-5]" if part == "train" else "test_batch"))
    if batches:
        return decode_once("cifar10", batches, lambda: _read_batches(batches), part=part)
    raise BadData(
        f"no {part}*.parquet and no python batches below {root}",
        "CIFAR-10 in one of these forms",
        "correct --set data.root, or add --set data.download=true when online",
    )


def _read_parquet(paths: Sequence[Path]) -> Instances:
    tables = [_read_table(path) for path in paths]
    column = next(name for name in ("img", "image") if name in tables[0].column_names)
    encoded = [item and item["bytes"] for table in tables for item in table[column].to_pylist()]
    labels = np.concatenate([table["label"].to_numpy() for table in tables]).astype(np.int64)
    decoded, dropped = [], []
    for row, item in enumerate(tqdm(encoded, "decoding", disable=None, leave=False)):
        try:
            decoded.append((row, _decode(item)))
        except UNDECODABLE as error:
            dropped.append(f"{paths[0].name} row {row}: {error}")
    require_half(len(decoded), dropped, paths[0].parent)
    kept = np.array([row for row, _ in decoded])
    images = np.stack([image for _, image in decoded])
    return Instances(labels[kept], _class_names(tables[0]), tuple(dropped), held=images)


def _read_table(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path} unreadable ({error})", "a parquet file", "fetch it anew") from None
    images = [table.schema.field(name).type for name in ("img", "image") if name in table.column_names]
    if "label" not in table.column_names or not images or not pa.types.is_struct(images[0]):
        columns = ", ".join(f"{field.name}: {field.type}" for field in table.schema)
        expected = "label and img or image, a struct of bytes and path"
        raise BadData(f"columns {columns} in {path}", expected, "rename or rewrite the columns")
    return table


def _class_names(table: pa.Table) -> tuple[str, ...]:
    stored = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    names = stored.get("info", {}).get("features", {}).get("label", {}).get("names")
    return tuple(names) if names else CLASSES


def _decode(encoded: bytes | None) -> NDArray[np.uint8]:
    if encoded is None:
        raise OSError("no image")
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    if image.size != (32, 32):
        raise OSError(f"image of {image.size[0]}x{image.size[1]}, not 32x32")
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)


def _read_batches(paths: Sequence[Path]) -> Instances:
    images, labels = [], []
    for path in paths:
        try:
            batch = pickle.loads(path.read_bytes(), encoding="bytes")
            images.append(np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32))
            labels.append(np.asarray(batch[b"labels"], dtype=np.int64).reshape(len(images[-1])))
        except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError) as error:
            raise BadData(f"{path} unreadable ({error})", "a CIFAR-10 python batch", "fetch it anew") from None
    return Instances(np.concatenate(labels), CLASSES, held=np.concatenate(images))


def _download(root: Path) -> None:
    from torchvision.datasets import CIFAR10  # imported here: it is slow to import, and seldom wanted

    try:
        CIFAR10(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise BadData(
            f"download failed ({error})", "a connection", "fetch CIFAR-10 by hand and set data.root"
        ) from None
