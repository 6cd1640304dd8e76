"""Images in Hugging Face's parquet form: a column `img` or `image` of encoded files, and a column `label`."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from negsift.common.data.class_names import class_names
from negsift.common.data.decode_errors import UNDECODABLE, decode_fault, require_mostly_decoded
from negsift.common.data.instances import Instances, require_labels
from negsift.common.data.parquet_file import read_table
from negsift.common.errors import BadData
from negsift.common.some_of import some_of


def read_parquet(paths: Sequence[Path], classes: tuple[str, ...], side: int) -> Instances:
    """All files as one table of images (3, side, side); `classes` are the default for files without class names.
    Undecodable images are dropped and listed. Raises BadData for other columns or labels, and if more than half of the
    images are dropped.
    """
    tables = [_read_table(path) for path in paths]
    classes = class_names(tables[0].schema, "label", paths[0]) or classes
    labels = np.concatenate([_labels(table, classes, path) for table, path in zip(tables, paths, strict=True)])
    places = [(path, row) for table, path in zip(tables, paths, strict=True) for row in range(len(table))]
    encoded = [item for table in tables for item in _encoded(table)]
    progress = tqdm(encoded, "decoding", disable=None, leave=False)
    images, kept, dropped = [], [], []
    for number, (item, (path, row)) in enumerate(zip(progress, places, strict=True)):
        try:
            images.append(_decode(item, side))
            kept.append(number)
        except UNDECODABLE as error:
            dropped.append(f"{path.name} row {row}: {decode_fault(error)}")
    require_mostly_decoded(len(kept), dropped, paths[0].parent)
    return Instances(labels[kept], classes, tuple(dropped), in_memory=np.stack(images))


def _read_table(path: Path) -> pa.Table:
    table = read_table(path)
    types = {field.name: field.type for field in table.schema}
    image = types.get("img", types.get("image"))
    encoded = image is not None and pa.types.is_struct(image) and image.get_field_index("bytes") >= 0
    if not encoded or not pa.types.is_integer(types.get("label", pa.null())):
        columns = some_of(f"{name}: {kind}" for name, kind in types.items())
        expected = "label, integers, and img or image, a struct of bytes and path"
        raise BadData(f"columns {columns} in {path}", expected, "rename or rewrite the columns")
    return table


def _encoded(table: pa.Table) -> list[bytes | None]:
    column = "img" if "img" in table.column_names else "image"
    return [item and item["bytes"] for item in table[column].to_pylist()]


def _labels(table: pa.Table, classes: tuple[str, ...], path: Path) -> NDArray[np.int64]:
    if table["label"].null_count:
        found = f"{table['label'].null_count} of {len(table)} rows in {path} without a label"
        raise BadData(found, "a label in each", "remove those rows")
    return require_labels(table["label"].to_numpy().astype(np.int64), classes, path)


def _decode(encoded: bytes | None, side: int) -> NDArray[np.uint8]:
    if encoded is None:
        raise OSError("no image")
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    if image.size != (side, side):
        raise OSError(f"image of {image.size[0]}x{image.size[1]}, not {side}x{side}")
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)
