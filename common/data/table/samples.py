"""The first bags of a table, or of what would be one, as lines of numbers or as a picture."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from negsift.common.data.decode_errors import UNDECODABLE, decode_fault
from negsift.common.data.images import decode_image
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import Manifest
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadData, BadInput
from negsift.common.unfinished import replacing

_BAGS, _PICTURED, _INSTANCES, _SIDE, _NUMBERS = 3, 8, 8, 96, 4


class SampleBag(NamedTuple):
    """A bag of a table: its id, split, labels, and its instances, (n, ...) decoded."""

    id: str
    split: str | None
    labels: Sequence[str] | None
    instances: NDArray[Any]  # Any: of the payload's dtype

    def __str__(self) -> str:
        known = "unlabeled" if self.labels is None else ", ".join(self.labels) or "no label"
        shape, values = " x ".join(map(str, self.instances.shape)), self.instances.astype(np.float64).ravel()
        numbers = " ".join(f"{value:.4g}" for value in values[:_NUMBERS])
        numbers += " ..." if values.size > _NUMBERS else ""
        ends = f"from {values.min():.4g} to {values.max():.4g}"
        return f"  {self.id} ({self.split or 'no split'}; {known}): {shape}, {ends}, {numbers}"


def sample_bags(table: pa.Table, payload: Payload, count: int = _BAGS) -> list[SampleBag]:
    """The first bags of a table, decoded; of bags of an instance table the row numbers. Raises BadData for images and
    clips that don't decode.
    """
    some = table.slice(0, count).combine_chunks()
    column = some[payload.column].combine_chunks()
    sizes = [1] * len(some) if payload.single else column.value_lengths().to_pylist()
    values, ends = _values(column if payload.single else column.flatten(), payload), np.cumsum(sizes)
    splits = some["split"].to_pylist() if "split" in some.column_names else [None] * len(some)
    rows = zip(some["bag_id"].to_pylist(), splits, some["labels"].to_pylist(), sizes, ends, strict=True)
    return [SampleBag(id, split, names, values[end - size : end]) for id, split, names, size, end in rows if size]


def _values(instances: pa.Array, payload: Payload) -> NDArray[Any]:  # Any: as above
    if payload.column == "features":
        return _numbers(instances.flatten(), payload.dtype).reshape(-1, *payload.shape)
    if payload.views:
        return _numbers(instances, "int64")
    if payload.sound:
        from negsift.common.data.table.decoded_row_group import decode  # imported here: only clips need torch

        return decode([instances], payload, len(instances), len(instances)).values
    try:
        encoded = [io.BytesIO(item["bytes"]) for item in instances.to_pylist()]
        return np.stack([decode_image(image, *payload.shape[1:]) for image in encoded])
    except UNDECODABLE as error:
        raise BadData(f"an image ({decode_fault(error)})", "images that decode", "build the table again") from None


def _numbers(array: pa.Array, dtype: str) -> NDArray[Any]:  # Any: as above
    """What `to_numpy` gives, which would import pandas."""
    return np.frombuffer(array.buffers()[1], dtype)[array.offset : array.offset + len(array)]


def first_bags(location: Location, manifest: Manifest, count: int = _BAGS) -> list[SampleBag]:
    """The first bags of a version, at most those of its first row group."""
    columns = ["bag_id", "split", "labels", manifest.payload.column]
    with location.fs.open_input_file(location.path_of(manifest.files[0].name)) as stream:
        rows = next(pq.ParquetFile(stream).iter_batches(count, row_groups=[0], columns=columns))
    return sample_bags(pa.Table.from_batches([rows]), manifest.payload, count)


def draw_bags(location: Location, manifest: Manifest, path: Path) -> None:
    """A picture of the first bags: a row of images for each, or its log-mel. Raises BadInput for bags of features, for
    another ending than png, and where the file can't be written.
    """
    if manifest.payload.column == "features":
        raise BadInput("--picture of bags of features", "images or clips", "leave it out: their numbers are printed")
    if path.suffix.lower() != ".png":
        raise BadInput(f"--picture {path}", "a file that ends in .png", "rename it")
    shown = manifest.instance_table if manifest.payload.views else manifest
    rows = [_strip(bag.instances, shown.payload) for bag in first_bags(location, shown, _PICTURED)]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    try:
        with replacing(path) as stream:
            sheet.save(stream, "PNG")
    except OSError as error:
        found = f"--picture {path}, which can't be written ({error.strerror or error})"
        raise BadInput(found, "a file in a folder that is there", "make the folder, or name another") from None


def _strip(instances: NDArray[Any], payload: Payload) -> Image.Image:  # Any: as above
    """A bag's images side by side; a clip with time to the right and high tones on top."""
    if payload.sound:
        mel = instances[0].astype(np.float32).T[::-1]
        scaled = 255.0 * (mel - mel.min()) / max(float(mel.max() - mel.min()), 1e-6)
        return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
    tiles = [Image.fromarray(image.transpose(1, 2, 0)).resize((_SIDE, _SIDE)) for image in instances[:_INSTANCES]]
    strip = Image.new("RGB", (_SIDE * len(tiles), _SIDE))
    for place, tile in enumerate(tiles):
        strip.paste(tile, (_SIDE * place, 0))
    return strip
