"""Encoded images, from a folder with a sub-folder for each class, optionally below train/, val/ and test/, or from
a parquet file with a column `image` or `img` of {bytes, path}, as on the Hugging Face hub.
"""

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from PIL import Image

from negsift.common.data.decode_errors import UNDECODABLE, decode_fault, require_mostly_decoded
from negsift.common.data.images import class_folders, images_below, others_below
from negsift.common.data.parquet_file import open_parquet, read_table
from negsift.common.data.sixteen_bits import FaintImages, eight_bits
from negsift.common.data.table.schema import SPLITS
from negsift.common.data.table.sources.source import BuildConfig, split_of
from negsift.common.data.table.sources.tabular_files import as_text, label_column, label_reader
from negsift.common.errors import BadData
from negsift.common.regular_file import regular


@dataclass(frozen=True)
class EncodedImage:
    """An image that is not yet read: `read` gives its bytes. `labels` is None if nobody has told them."""

    read: Callable[[], bytes]
    name: str
    labels: tuple[str, ...] | None
    split: str = "train"


def encoded_images(source: Path, config: BuildConfig) -> Sequence[EncodedImage]:
    """All images at `source`. Raises BadData where there are no images, or no classes."""
    return _in_parquet(source, config) if source.is_file() else _in_folder(source)


class ImageReader:
    """Reads encoded images, and leaves out those that can't be decoded: `dropped` has a line for each of them."""

    def __init__(self, source: Path) -> None:
        self._source, self._kept, self._faint = source, 0, FaintImages()
        self.dropped = list[str]()

    def read(self, image: EncodedImage) -> bytes | None:
        """The image's bytes, None if it can't be decoded."""
        try:
            data = image.read()
            with Image.open(io.BytesIO(data)) as opened:
                eight_bits(opened).load()
                self._faint.look(opened, image.name)
        except UNDECODABLE as error:
            self.dropped.append(f"{image.name}: {decode_fault(error)}")
            return None
        self._kept += 1
        return data

    def finish(self) -> None:
        """Say what was odd in the images, and list other files. Raises BadData if more were left out than read."""
        require_mostly_decoded(self._kept, self.dropped, self._source)
        if self._source.is_dir():
            self.dropped += [line for _, below in _splits(self._source) for line in others_below(self._source, below)]
        self._faint.report()


def image_column(path: Path) -> str | None:
    """The column of a parquet file that has encoded images, or None. Raises BadData if the file can't be read."""
    with open_parquet(path) as opened:
        schema = opened.schema_arrow
    names = [name for name in ("image", "img") if name in schema.names and pa.types.is_struct(schema.field(name).type)]
    return names[0] if names else None


def _splits(root: Path) -> Sequence[tuple[str, Path]]:
    """Each split, and the folder that has its classes."""
    return [(name, root / name) for name in SPLITS if (root / name).is_dir()] or [("train", root)]


def _in_folder(root: Path) -> Sequence[EncodedImage]:
    images = [
        EncodedImage(functools.partial(_content, path), str(path.relative_to(root)), (name,), split)
        for split, below in _splits(root)
        for name in class_folders(below)
        for path in images_below(below / name)
    ]
    if not images:
        raise BadData(f"no image in sub-folders of {root}", "a sub-folder of images for each class", "correct --from")
    return images


def _in_parquet(path: Path, config: BuildConfig) -> Sequence[EncodedImage]:
    column, table = image_column(path), read_table(path)
    label = label_column(table.column_names, config)
    if column is None or label not in table.column_names:
        found = f"{path} with columns {', '.join(table.column_names[:8])}"
        raise BadData(found, f"image or img, and {label}", "kind=features, or label_column=NAME")
    labels = label_reader(table.schema, path, config).read(table[label]).to_pylist()
    splits = as_text(table, "split").to_pylist() if "split" in table.column_names else [None] * len(labels)
    images = table[column]
    return [
        EncodedImage(
            functools.partial(_bytes, images, row), f"row {row}", None if names is None else tuple(names),
            split or split_of(path),
        )
        for row, (names, split) in enumerate(zip(labels, splits, strict=True))
    ]  # fmt: skip


def _content(path: Path) -> bytes:
    return regular(path).read_bytes()


def _bytes(images: pa.ChunkedArray, row: int) -> bytes:
    return (images[row].as_py() or {}).get("bytes") or b""
