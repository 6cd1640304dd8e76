"""Feature bags from a folder with one file of (n, D) numbers for each bag, and a list of their labels.

Bags that are not in the list are unlabeled; bags without instances, and rows of it without a file, are left out. Splits
are those of the list, or else of folders.
"""

import dataclasses
import functools
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from negsift.common.data.files_below import files_below, in_order, name_below
from negsift.common.data.table.schema import COLUMNS, Payload
from negsift.common.data.table.sources.array_file import (
    COMMON_KEYS,
    COORDS,
    ENDINGS,
    ArrayBag,
    read_bag,
    read_instance_labels,
    read_numbers,
)
from negsift.common.data.table.sources.bag_folder import INSTANCE_LABELS, BagFolder, find_bags, others_in
from negsift.common.data.table.sources.bag_list import BagList, Described, find_lists, read_lists, tables_in
from negsift.common.data.table.sources.feature_column import (
    coords_column,
    feature_column,
    instance_label_column,
    to_dtype,
)
from negsift.common.data.table.sources.source import BuildConfig, Part, Source, cut
from negsift.common.data.table.sources.split_list import find_splits, read_splits
from negsift.common.data.table.sources.split_names import folder_split
from negsift.common.data.table.sources.tabular_files import is_table
from negsift.common.data.table.sources.tar_samples import TarSample, read_samples
from negsift.common.data.table.sources.tar_shards import Span, tar_files
from negsift.common.errors import BadData, BadInput
from negsift.common.some_of import some_of

log = logging.getLogger(__name__)
_BATCH_BYTES = 32 << 20
_OF_SEVERAL = tuple(ending for ending in ENDINGS if ending != ".npy")
"""Endings of files that may have several arrays."""


class BagFile(NamedTuple):
    """A bag that is not read yet."""

    id: str
    features: Path | Span
    coords: Path | Span | None
    described: Described
    labels: Path | Span | None = None
    """Of its instances."""
    key: str | None = None
    """The array of several in its file that has the features; none: found."""


def open_arrays(root: Path, config: BuildConfig) -> Source:
    """The bags of all files below `root`. Raises BadData for a folder without files of bags or without labels, for
    files without (n, D) numbers, for two of one id, and for a list of other files.
    """
    if tar_files(root):
        return _source(*_in_tars(root, config), config)
    folder = find_bags(root, config.key)
    listed = find_splits(root, folder.base, config)
    tables = find_lists(root, config, besides=listed)
    if not folder.features or not (tables or folder.labels):
        lacks = f"no {', '.join(ENDINGS)} below {root}{others_in(root, lambda path: path in tables)}"
        found = f"no {root / 'labels.csv'}{_but(root)}" if folder.features else lacks
        raise BadData(found, "one file for each bag, and labels.csv", "correct --from, or labels=FILE")
    key = None if folder.has_key else config.key
    _require_key(folder.features.values(), key)
    named = {name_below(root, path).removesuffix(path.suffix): path for path in folder.features.values()}
    rows, missing = (read_lists(tables, config) if tables else _labels_in(folder)).match({**named, **folder.features})
    splits = {} if listed is None else read_splits(listed, config, folder.features)
    files = [
        BagFile(
            id, path, folder.coords.get(id), _with_split(rows.get(path, Described()), splits.get(id), root, path),
            folder.instance_labels.get(id), key,
        )
        for id, path in folder.features.items()
    ]  # fmt: skip
    lost = [id for id in splits if id not in folder.features]
    missing = [*missing, *(f"{id}: no file, but a row of {listed}" for id in lost)]
    if listed is not None:
        log.info("splits are those of %s; %d bags are not in it", listed, len(folder.features.keys() - splits.keys()))
    return _source(files, missing, folder.unused(root, [*tables, *filter(None, [listed])]), config)


def _with_split(described: Described, listed: str | None, root: Path, path: Path) -> Described:
    """Where the list says nothing, the split is that of the list of splits, or else of the folder."""
    return described._replace(split=described.split or listed or folder_split(root, path))


def _but(root: Path) -> str:
    """The tables below `root`, which may be lists."""
    tables = tables_in(root) or [path for path in in_order(files_below(root)) if is_table(path)]
    return f", but {some_of((name_below(root, path) for path in tables), 3)}" if tables else ""


def _in_tars(root: Path, config: BuildConfig) -> tuple[list[BagFile], list[str], list[str]]:
    """The bags of WebDataset's shards, those without an array, and the members that are no bags."""
    samples, odd = read_samples(root, config)
    files, missing = list[BagFile](), list[str]()
    for sample in samples:
        file = _in_sample(sample, config.key)
        if file is None:
            missing.append(f"{sample.id}: no array among {some_of(sample.members)}")
        else:
            files.append(file)
    return files, missing, odd


def _in_sample(sample: TarSample, key: str | None) -> BagFile | None:
    """The bag of a sample; `key` is a member, or else an array in the only one."""
    coords = sample.named(COORDS, ENDINGS)
    labels = next(filter(None, (sample.named(name, ENDINGS) for name in INSTANCE_LABELS)), None)
    features = {name: span for name, span in sample.members.items() if span not in (coords, labels)}
    sample = dataclasses.replace(sample, members=features)
    of_several = None if key is None or sample.named(key, ENDINGS) else sample.payload(_OF_SEVERAL, None, COMMON_KEYS)
    span = of_several or sample.payload(ENDINGS, key, COMMON_KEYS)
    if span is None:
        return None
    described = Described(sample.labels, sample.split, sample.group)
    return BagFile(sample.id, span, coords, described, labels, key if of_several else None)


def _source(files: Sequence[BagFile], missing: Sequence[str], beside: Sequence[str], config: BuildConfig) -> Source:
    width = _width(files)
    read = functools.partial(_tables, width=width, dtype=config.dtype)
    parts = [Part(functools.partial(read, some), stamps) for some, stamps in cut(files, _paths_of)]
    return Source(Payload("features", config.dtype, (width,)), parts, missing, beside)


def _labels_in(folder: BagFolder) -> BagList:
    """The labels that stand in files of their own: a number, or one for each class that the bag has."""
    rows = {id: Described([str(number) for number in read_numbers(path)]) for id, path in folder.labels.items()}
    return BagList([next(iter(folder.labels.values())).parent], rows)


def _require_key(paths: Iterable[Path], key: str | None) -> None:
    """Raise BadInput for a `key` where each file is one array."""
    if key is not None and all(path.suffix.lower() == ".npy" for path in paths):
        raise BadInput(f"key={key} of .npy files", "files with several arrays, or their folder", "leave key out")


def _width(files: Sequence[BagFile]) -> int:
    """The number of features of the first bag that has instances. Raises BadData if none has."""
    for file in files:
        features = read_bag(file.features, file.key).features
        if len(features):
            return int(features.shape[1])
    raise BadData(f"no instance in the {len(files)} files of bags", "at least one", "correct --from")


def _tables(files: Sequence[BagFile], width: int, dtype: str) -> Iterator[pa.Table | str]:
    waiting, size = list[tuple[BagFile, ArrayBag]](), 0
    for file in files:
        bag = read_bag(file.features, file.key)
        if not len(bag.features):
            yield f"{file.id}: no instances"
            continue
        if bag.features.shape[1] != width:
            found = f"{file.features} of {bag.features.shape[1]} features"
            raise BadData(found, f"{width}, as in the first file", "repair it")
        bag = _with_others(bag, file, dtype)
        waiting.append((file, bag))
        size += bag.features.nbytes
        if size >= _BATCH_BYTES:
            yield _table(waiting)
            waiting, size = [], 0
    if waiting:
        yield _table(waiting)


def _with_others(bag: ArrayBag, file: BagFile, dtype: str) -> ArrayBag:
    """The bag in that dtype, with what other files say of its instances."""
    coords = bag.coords if file.coords is None else read_bag(file.coords).features
    try:
        labels = None if file.labels is None else read_instance_labels(file.labels)
        return ArrayBag(to_dtype(bag.features, dtype), coords, labels)
    except BadData as error:
        raise BadData(f"bag {file.id!r} with {error.found}", error.expected, error.remedy) from None


def _table(bags: Sequence[tuple[BagFile, ArrayBag]]) -> pa.Table:
    offsets = np.concatenate([[0], np.cumsum([len(bag.features) for _, bag in bags])]).astype(np.int64)
    described = zip(*(file.described for file, _ in bags), strict=True)
    columns = {
        name: pa.array(list(values), COLUMNS[name]) for name, values in zip(Described._fields, described, strict=True)
    }
    table = pa.table({"bag_id": [file.id for file, _ in bags]} | columns)
    features = np.concatenate([bag.features for _, bag in bags])
    table = table.append_column("features", feature_column(features, offsets))
    if any(bag.coords is not None for _, bag in bags):
        table = table.append_column("coords", coords_column([bag.coords for _, bag in bags]))
    if any(bag.labels is not None for _, bag in bags):
        table = table.append_column("instance_labels", instance_label_column([bag.labels for _, bag in bags]))
    return table


def _paths_of(file: BagFile) -> list[Path]:
    places = (place for place in (file.features, file.coords, file.labels) if place is not None)
    return list(dict.fromkeys(place if isinstance(place, Path) else place.path for place in places))
