"""Bags that are rows of Parquet or Arrow files, with a list of encoded images each, whose bytes stay unchanged."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from negsift.common.data.arrow_files import has_image_lists, open_rows, read_schema
from negsift.common.data.parquet_file import UNREADABLE, unreadable
from negsift.common.data.table.schema import Payload
from negsift.common.data.table.sources.columns import require_columns, text_columns
from negsift.common.data.table.sources.encoded_images import EncodedImage, ImageReader, image_column, image_content
from negsift.common.data.table.sources.shards import DataFile
from negsift.common.data.table.sources.source import BuildConfig, Part, Source, stamp
from negsift.common.data.table.sources.split_names import split_of
from negsift.common.data.table.sources.tabular_files import describe_rows, label_reader, with_ids, with_split
from negsift.common.data.table.sources.unused_settings import OF_CUT_BAGS, refuse
from negsift.common.errors import BadData, BadInput
from negsift.common.some_of import some_of

_ROWS = 16
"""Bags in memory at a time, beside those of an open row group."""


def image_lists(path: Path, config: BuildConfig) -> str | None:
    """The column of a file that has a list of images in each row, or None. Raises BadData where it has other bags too
    and no `key`, BadInput for a key that is no column of it.
    """
    schema = read_schema(path)
    listed = [name for name in schema.names if has_image_lists(schema.field(name).type)]
    if config.key in schema.names:
        return config.key if config.key in listed else None
    if listed and config.key is not None:
        raise BadInput(f"key={config.key} of {path}", f"one of its columns, {some_of(listed)}", "correct key=")
    others = [name for name in (image_column(schema, config) or "", "features") if name in schema.names]
    if listed and len(listed) + len(others) > 1:
        found = f"columns {some_of([*listed, *others])} in {path}"
        raise BadData(found, "one column of bags", "name it: key=NAME")
    return listed[0] if listed else None


def open_image_bags(files: Sequence[DataFile], images: str, config: BuildConfig) -> Source:
    """A bag for each row of the column `images`. Raises BadInput for settings of bags that are made here."""
    refuse(config, OF_CUT_BAGS, "a row that is a bag already")
    payload = Payload("instances", "uint8", (3, config.image_size, config.image_size))
    parts = [Part(functools.partial(_bags, file, images, config, payload), [stamp(file.path)]) for file in files]
    return Source(payload, parts, unit="images")


def _bags(file: DataFile, images: str, config: BuildConfig, payload: Payload) -> Iterator[pa.Table | str]:
    """Tables of bags without the images that can't be decoded, and a line for each of those. Bags that had no image
    are left to the writer, which lists them.
    """
    rows, reader = 0, ImageReader()
    try:
        with open_rows(file.path) as opened:
            labels, names = label_reader(opened.schema, file.path, config), opened.schema.names
            wanted = [name for name in names if name in (*text_columns(names, config), images)]
            for batch in opened.batches(wanted, _ROWS):
                batch = with_ids(batch, config, file.name, rows)
                require_columns(list(dict.fromkeys([*names, *batch.column_names])), file.path, config)
                rows += len(batch)
                table = with_split(describe_rows(batch, config, labels), file.split or split_of(file.path))
                read = list(map(functools.partial(_read, reader), table["bag_id"].to_pylist(), batch[images]))
                yield from (line for _, lines in read for line in lines)
                whole = table.append_column(payload.column, pa.array([kept for kept, _ in read], payload.type))
                yield whole.filter(pa.array([bool(kept) or not lines for kept, lines in read]))
    except UNREADABLE as error:
        raise unreadable(file.path, error) from None
    yield from reader.finish()


def _read(reader: ImageReader, bag: str, images: pa.Scalar) -> tuple[list[dict[str, Any]], list[str]]:
    """The images of a bag as a table has them, and a line for each that can't be decoded."""
    kept, lines = list[dict[str, Any]](), list[str]()
    for number, image in enumerate(images.as_py() or ()):
        name = f"{bag} image {number}"
        data = reader.read(EncodedImage(functools.partial(image_content, image), name, None))
        if isinstance(data, bytes):
            kept.append({"bytes": data, "path": name})
        else:
            lines.append(data)
    return kept, lines
