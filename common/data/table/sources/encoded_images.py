"""Encoded images, from a folder with a sub-folder for each class, optionally below train/, val/ and test/, or from
Parquet or Arrow files with a column of {bytes, path}, as on the Hugging Face hub.
"""

import functools
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from negsift.common.data.arrow_files import is_binary, is_file, is_list, open_rows, read_schema
from negsift.common.data.decode_errors import UNDECODABLE, decode_fault
from negsift.common.data.files_below import name_below
from negsift.common.data.images import IMAGE_ENDINGS, class_folders, images_below, others_below
from negsift.common.data.mapped_rows import mapped
from negsift.common.data.parquet_file import UNREADABLE, unreadable
from negsift.common.data.sixteen_bits import FaintImages, eight_bits
from negsift.common.data.table.schema import SPLITS
from negsift.common.data.table.sources.bag_list import Described, find_lists, read_lists, tables_in
from negsift.common.data.table.sources.columns import LABEL, SPLIT, column, require_stated, text_columns
from negsift.common.data.table.sources.shards import DataFile, shards, shards_below
from negsift.common.data.table.sources.source import BuildConfig, Remark
from negsift.common.data.table.sources.split_names import folder_split, folders_beside, split_folders, split_of
from negsift.common.data.table.sources.tabular_files import label_reader, splits
from negsift.common.data.table.sources.tar_samples import read_samples
from negsift.common.data.table.sources.tar_shards import Span, tar_files
from negsift.common.data.table.sources.unused_settings import OF_LISTS, refuse
from negsift.common.errors import BadData
from negsift.common.regular_file import regular
from negsift.common.some_of import some_of

_ROWS = 256
_GROUPS = (("group_column",), "bags that are cut from single images")
"""What such bags have no use for."""
_IMAGES, _SOUNDS = ("image", "img"), ("audio", "sound", "clip", "video")
"""Names of columns of encoded files that are images, and of those that are none."""


@dataclass(frozen=True)
class EncodedImage:
    """An image that is not yet read: `read` gives its bytes. `labels` is None if nobody has told them; `path` is the
    image's own file if it has one.
    """

    read: Callable[[], bytes]
    name: str
    labels: tuple[str, ...] | None
    split: str = "train"
    path: Path | None = None


def encoded_images(source: Path, config: BuildConfig) -> Sequence[EncodedImage]:
    """All images at `source`. Raises BadData where there are no images, or no classes."""
    if tar_files(source):
        return _in_tars(source, config)
    if has_rows(source, config):
        return [image for file in shards(source) for image in _in_shard(file, config, source.is_dir())]
    tables = find_lists(source, config)
    return _in_list(source, tables, config) if tables else _in_folder(source, config)


def has_rows(source: Path, config: BuildConfig) -> bool:
    """Whether the images at `source` are those in rows of Parquet or Arrow files."""
    if tar_files(source):
        return False
    return not source.is_dir() or (not config.labels and bool(shards_below(source)))


class ImageReader:
    """Reads encoded images: the bytes of each, or a line for one that can't be decoded."""

    def __init__(self) -> None:
        self._faint = FaintImages()

    def read(self, image: EncodedImage) -> bytes | str:
        """The image's bytes, or a line that says why it can't be decoded."""
        try:
            data = image.read()
            with Image.open(io.BytesIO(data)) as opened:
                eight_bits(opened).load()
                self._faint.look(opened, image.name)
        except UNDECODABLE as error:
            return f"{image.name}: {decode_fault(error)}"
        return data

    def finish(self) -> list[Remark]:
        """What was odd in the images."""
        return [Remark(self._faint.remark)] if self._faint.remark else []


def others_beside(source: Path, config: BuildConfig) -> list[str]:
    """A line for each file in the folders of classes that is no image, and without a list for each table and each
    folder that is not read.
    """
    if tar_files(source) or not source.is_dir():
        return []
    others = [line for _, below in split_folders(source) for line in others_below(source, below)]
    if config.labels or has_rows(source, config) or find_lists(source, config):
        return others
    return [*others, *folders_beside(source), *(f"{path.name}: not used as a list" for path in tables_in(source))]


def image_column(schema: pa.Schema, config: BuildConfig) -> str | None:
    """The column that has encoded images, or None: `config.key`, or else `image` or `img`, or else the only one of
    files, where no column of lists may be features, nor those that `config.leave_out` leaves.
    """
    files = [field.name for field in schema if is_file(field.type) and field.name not in _SOUNDS]
    named = [
        name for name in _IMAGES
        if name in files or (name in schema.names and is_binary(schema.field(name).type))
    ]  # fmt: skip
    if config.key is not None:
        return config.key if config.key in (*named, *files) else None
    known = text_columns(schema.names, config)
    is_other = config.leave_out or any(is_list(field.type) for field in schema if field.name not in known)
    return named[0] if named else files[0] if len(files) == 1 and not is_other else None


def _in_folder(root: Path, config: BuildConfig) -> Sequence[EncodedImage]:
    refuse(config, (*OF_LISTS, "key"), "a folder of images for each class")
    images = [
        EncodedImage(functools.partial(_content, path), name_below(root, path), labels, split, path)
        for split, below in split_folders(root)
        for name in class_folders(below)
        for labels in [(name,)]  # one for all: parts are sent to where they are read
        for path in images_below(below / name)
    ]
    if not images:
        names = some_of((path.name for path in images_below(root)), 3)
        found = f"images below {root}, such as {names}, and no labels" if names else f"no image below {root}"
        expected = "a list of their labels, or a sub-folder of images for each class"
        raise BadData(found, expected, "set labels=FILE" if names else "correct --from")
    return images


def _in_list(root: Path, tables: Sequence[Path], config: BuildConfig) -> Sequence[EncodedImage]:
    """The images that lists name, by name or by path below `root`; those without a file as images that can't be read.
    Other images are unlabeled. Splits are those of the list, or else of folders.
    """
    refuse(config, *_GROUPS)
    paths = images_below(root)
    below = [name_below(root, path) for path in paths]
    whole = [name.removesuffix(path.suffix) for name, path in zip(below, paths, strict=True)]
    files = dict[str, Path]()
    for names in (below, [path.name for path in paths], whole, [path.stem for path in paths]):
        times = Counter(names)
        files = {name: path for name, path in zip(names, paths, strict=True) if times[name] == 1} | files
    rows, lost = read_lists(tables, config).match(files)
    described = [(path, rows.get(path, Described())) for path in paths]
    found = [
        EncodedImage(
            functools.partial(_content, path), name_below(root, path),
            None if row.labels is None else tuple(row.labels),
            row.split or folder_split(root, path) or SPLITS[0], path,
        )
        for path, row in described
    ]  # fmt: skip
    return found + [EncodedImage(functools.partial(_lost, line), line.partition(":")[0], None) for line in lost]


def _lost(line: str) -> bytes:
    raise OSError(line.partition(": ")[2])


def _in_tars(source: Path, config: BuildConfig) -> Sequence[EncodedImage]:
    refuse(config, *_GROUPS)
    samples = read_samples(source, config)[0]
    spans = [(sample, sample.payload(IMAGE_ENDINGS, config.key)) for sample in samples]
    return [
        EncodedImage(
            functools.partial(_member, span), sample.id, None if sample.labels is None else tuple(sample.labels),
            sample.split, span.path if span else None,
        )
        for sample, span in spans
    ]  # fmt: skip


def _member(span: Span | None) -> bytes:
    if span is None:
        raise OSError("no image among the members")
    return span.read_bytes()


def _in_shard(file: DataFile, config: BuildConfig, is_one_of_many: bool) -> Sequence[EncodedImage]:
    refuse(config, *_GROUPS)
    path, schema = file.path, read_schema(file.path)
    encoded, label = image_column(schema, config), column(schema.names, config, LABEL)
    if encoded is None or label not in schema.names:
        found = f"{path} with columns {some_of(schema.names)}"
        raise BadData(found, f"a column of images, and {label}", "kind=features, key=NAME or label_column=NAME")
    require_stated(schema.names, path, config)
    split = column(schema.names, config, SPLIT)
    wanted = [name for name in (encoded, label, split) if name in schema.names]
    table = _rows(path, wanted)
    labels = label_reader(schema, path, config).read(table[label]).to_pylist()
    stated = splits(table, split).to_pylist() if split in wanted else [None] * len(labels)
    images, before = table[encoded], f"{path.name} " if is_one_of_many else ""
    return [
        EncodedImage(
            functools.partial(_bytes, images, row), f"{before}row {row}", None if names is None else tuple(names),
            own or file.split or split_of(path),
        )
        for row, (names, own) in enumerate(zip(labels, stated, strict=True))
    ]  # fmt: skip


def _rows(path: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of a file; its images stay on disk until they are read."""
    try:
        with open_rows(path) as opened:
            batches = opened.batches(columns, _ROWS)
            if path.suffix.lower() == ".parquet":
                first = next(batches, None)
                return opened.schema.empty_table() if first is None else mapped(chain([first], batches), first.schema)
            return pa.concat_tables(batches)  # mapped already
    except UNREADABLE as error:
        raise unreadable(path, error) from None


def _content(path: Path) -> bytes:
    return regular(path).read_bytes()


def _bytes(images: pa.ChunkedArray, row: int) -> bytes:
    return image_content(images[row].as_py())


def image_content(image: Any) -> bytes:  # Any: bytes, or bytes and path, as Arrow gives them
    """The encoded file of a row. Raises OSError where there is none."""
    item = {"bytes": image} if isinstance(image, bytes) else image or {}
    if not item.get("bytes"):
        raise OSError(f"no image, but the path {item['path']!r}" if item.get("path") else "no image")
    content: bytes = item["bytes"]
    return content
