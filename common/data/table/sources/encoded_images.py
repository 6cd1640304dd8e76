"""Encoded images, from a folder with a sub-folder for each class, optionally below train/, val/ and test/, or from
a parquet file with a column `image` or `img` of {bytes, path}, as on the Hugging Face hub.
"""

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from negsift.common.data.decode_errors import UNDECODABLE, decode_fault
from negsift.common.data.image_parquet import class_names
from negsift.common.data.images import images_below
from negsift.common.data.table.schema import SPLITS
from negsift.common.data.table.sources.source import BuildConfig, as_labels
from negsift.common.data.table.sources.tabular_files import label_column, parquet_schema
from negsift.common.errors import BadData


@dataclass(frozen=True)
class EncodedImage:
    """An image that is not yet read: `read` gives its bytes."""

    read: Callable[[], bytes]
    name: str
    labels: tuple[str, ...]
    split: str = "train"


def encoded_images(source: Path, config: BuildConfig) -> Sequence[EncodedImage]:
    """All images at `source`. Raises BadData where there are no images, or no classes."""
    return _in_parquet(source, config) if source.is_file() else _in_folder(source)


def read_if_decodable(image: EncodedImage, dropped: list[str]) -> bytes | None:
    """The image's bytes; None, and a line with the reason in `dropped`, if it can't be decoded."""
    try:
        data = image.read()
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
    except UNDECODABLE as error:
        dropped.append(f"{image.name}: {decode_fault(error)}")
        return None
    return data


def image_column(path: Path) -> str | None:
    """The column of a parquet file that has encoded images, or None. Raises BadData if the file can't be read."""
    schema = parquet_schema(path)
    names = [name for name in ("image", "img") if name in schema.names and pa.types.is_struct(schema.field(name).type)]
    return names[0] if names else None


def _in_folder(root: Path) -> Sequence[EncodedImage]:
    splits = [root / name for name in SPLITS if (root / name).is_dir()]
    images = [
        EncodedImage(path.read_bytes, str(path.relative_to(root)), (folder.name,), split.name if splits else "train")
        for split in splits or [root]
        for folder in sorted(path for path in split.iterdir() if path.is_dir())
        for path in images_below(folder)
    ]
    if not images:
        raise BadData(f"no image in sub-folders of {root}", "a sub-folder of images for each class", "correct --from")
    return images


def _in_parquet(path: Path, config: BuildConfig) -> Sequence[EncodedImage]:
    column, table = image_column(path), pq.read_table(path)
    label = label_column(table.column_names, config)
    if column is None or label not in table.column_names:
        found = f"{path} with columns {', '.join(table.column_names[:8])}"
        raise BadData(found, f"image or img, and {label}", "kind=features, or label_column=NAME")
    by_number = {str(number): name for number, name in enumerate(class_names(table.schema, label))}
    labels = [tuple(by_number.get(name, name) for name in names or ()) for names in as_labels(table[label]).to_pylist()]
    splits = table["split"].to_pylist() if "split" in table.column_names else ["train"] * len(labels)
    images = table[column]
    return [
        EncodedImage(functools.partial(_bytes, images, row), f"row {row}", labels[row], splits[row])
        for row in range(len(labels))
    ]


def _bytes(images: pa.ChunkedArray, row: int) -> bytes:
    return (images[row].as_py() or {}).get("bytes") or b""
