"""Encoded images of a folder with a sub-folder a class, and perhaps train/, val/ or test/ above them; or of a parquet
file with a column `image` or `img` of {bytes, path}, as on the Hugging Face hub.
"""

import functools
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from negsift.common.data.images import images_below
from negsift.common.data.instances import UNDECODABLE, why_not
from negsift.common.data.table.schema import SPLITS
from negsift.common.data.table.sources.files import label_column
from negsift.common.data.table.sources.source import BuildConfig, as_labels
from negsift.common.errors import BadData


@dataclass(frozen=True)
class EncodedBagsSource:
    """An image: how to get its bytes, its name, its labels, its split."""

    read: Callable[[], bytes]
    name: str
    labels: tuple[str, ...]
    split: str = "train"


def encoded_images(source: Path, config: BuildConfig) -> Sequence[EncodedBagsSource]:
    """All images at `source`, not yet read; raises BadData where there are none, or no classes."""
    return _in_parquet(source, config) if source.is_file() else _in_folder(source)


def read_whole(image: EncodedBagsSource, dropped: list[str]) -> bytes | None:
    """The image's bytes, if it can be decoded."""
    try:
        data = image.read()
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
    except UNDECODABLE as error:
        dropped.append(f"{image.name}: {why_not(error)}")
        return None
    return data


def image_column(path: Path) -> str | None:
    """The column of a parquet file that holds encoded images, if one does; raises BadData if it can't be read."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path} unreadable ({error})", "a parquet file", "repair it") from None
    found = [name for name in ("image", "img") if name in schema.names and pa.types.is_struct(schema.field(name).type)]
    return found[0] if found else None


def _in_folder(root: Path) -> Sequence[EncodedBagsSource]:
    splits = [root / name for name in SPLITS if (root / name).is_dir()]
    images = [
        EncodedBagsSource(
            path.read_bytes, str(path.relative_to(root)), (folder.name,), split.name if splits else "train"
        )
        for split in splits or [root]
        for folder in sorted(path for path in split.iterdir() if path.is_dir())
        for path in images_below(folder)
    ]
    if not images:
        raise BadData(f"no image in sub-folders of {root}", "a sub-folder of images a class", "correct --from")
    return images


def _in_parquet(path: Path, config: BuildConfig) -> Sequence[EncodedBagsSource]:
    column, table = image_column(path), pq.read_table(path)
    label = label_column(table.column_names, config)
    if column is None or label not in table.column_names:
        found = f"{path} with columns {', '.join(table.column_names[:8])}"
        raise BadData(found, f"image or img, and {label}", "--set kind=features, or label_column=NAME")
    names = _class_names(table.schema, label)
    labels = [tuple(names.get(name, name) for name in found or ()) for found in as_labels(table[label]).to_pylist()]
    splits = table["split"].to_pylist() if "split" in table.column_names else ["train"] * len(labels)
    images = table[column]
    return [
        EncodedBagsSource(functools.partial(_bytes, images, row), f"row {row}", labels[row], splits[row])
        for row in range(len(labels))
    ]


def _bytes(images: pa.ChunkedArray, row: int) -> bytes:
    return (images[row].as_py() or {}).get("bytes") or b""


def _class_names(schema: pa.Schema, label: str) -> dict[str, str]:
    """Names for numbered classes, which the hub's files keep in their metadata."""
    described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    names = described.get("info", {}).get("features", {}).get(label, {}).get("names") or []
    return {str(number): name for number, name in enumerate(names)}
