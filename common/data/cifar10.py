"""CIFAR-10 (Krizhevsky 2009), from parquet files or python batches in `data.root`, or downloaded."""

import http.client
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from negsift.common.data.class_names import class_names
from negsift.common.data.config import ROOTS, DataConfig
from negsift.common.data.files_below import files_below
from negsift.common.data.image_parquet import read_parquet
from negsift.common.data.instances import Instances, decode_once, require_labels
from negsift.common.data.numbered_shards import require_all
from negsift.common.data.parquet_file import open_parquet
from negsift.common.errors import BadData, BadInput
from negsift.common.regular_file import regular

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
_BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
_BROKEN = (pickle.UnpicklingError, OSError, EOFError, LookupError, AttributeError, TypeError, ValueError)


def load(config: DataConfig) -> tuple[Instances, Instances]:
    """Training and test images, (M, 3, 32, 32) uint8.

    `data.root` contains Hugging Face's parquet files (`train*.parquet` and `test*.parquet`, at any depth, with a
    column `img` or `image`) or the official python batches. With `data.download=true` torchvision downloads the
    batches if there is neither. Raises BadData if no file is found or one is damaged, BadInput for other image sizes.
    """
    root = config.folder(ROOTS["cifar10"])
    if config.image_size != SIDE:
        raise BadInput(f"data.image_size={config.image_size} with cifar10", f"{SIDE}", "leave data.image_size alone")
    if config.download and not (_parquet(root, "train") or _batches(root, "train")):
        _download(root)
    train, test = _load_part(root, "train"), _load_part(root, "test")
    if train.classes != test.classes:
        raise BadData(f"different classes in test and train files below {root}", "the same", "download them again")
    return train, test


def known_classes(config: DataConfig) -> tuple[str, ...]:
    """The classes that the first training file names, or else CIFAR-10's. Raises BadData where `load` finds no file."""
    root = config.folder(ROOTS["cifar10"])
    paths = _parquet(root, "train")
    if paths:
        with open_parquet(paths[0]) as opened:
            return class_names(opened.schema_arrow, "label", paths[0]) or CLASSES
    if not config.download:
        _all_batches(root, "train")
    return CLASSES


def _load_part(root: Path, part: str) -> Instances:
    parquet = _parquet(root, part)
    if parquet:
        return decode_once("cifar10", parquet, lambda: read_parquet(parquet, CLASSES, SIDE), part=part)
    batches = _all_batches(root, part)
    return decode_once("cifar10", batches, lambda: _read_batches(batches), part=part)


def _all_batches(root: Path, part: str) -> list[Path]:
    """The python batches of a part. Raises BadData if one is missing."""
    batches = _batches(root, part)
    missing = set(_BATCHES[part]) - {path.name for path in batches}
    if not missing:
        return batches
    found = f"the file {root}" if root.is_file() else f"no {part}*.parquet and no python batches below {root}"
    if batches:
        found = f"no {', '.join(sorted(missing))} beside {batches[0]}"
    remedy = "correct data.root, or add data.download=true when online"
    raise BadData(found, "the folder of CIFAR-10, in parquet or all python batches", remedy)


def _parquet(root: Path, part: str) -> list[Path]:
    paths = sorted(path for path in files_below(root) if path.match(f"{part}*.parquet"))
    require_all(paths)
    return paths


def _batches(root: Path, part: str) -> list[Path]:
    return sorted(path for path in files_below(root) if path.name in _BATCHES[part])


def _read_batches(paths: Sequence[Path]) -> Instances:
    """All batches, which are pickled dicts of pixels and labels, as one table."""
    images, labels = (np.concatenate(part) for part in zip(*map(_read_batch, paths), strict=True))
    return Instances(labels, CLASSES, in_memory=images)


def _read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    source = regular(path)
    try:
        with source.open("rb") as stream:
            batch = BatchUnpickler(stream, encoding="bytes").load()
        images = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, SIDE, SIDE)
        labels = np.asarray(batch[b"labels"], dtype=np.int64).reshape(len(images))
    except _BROKEN as error:
        raise BadData(f"{path} unreadable ({error})", "a CIFAR-10 python batch", "download it again") from None
    return images, require_labels(labels, CLASSES, path)


class BatchUnpickler(pickle.Unpickler):
    """Creates numpy arrays and nothing else, because a downloaded pickle could run any code."""

    def find_class(self, module: str, name: str) -> Any:  # Any: the base class's own
        """The classes and functions that the batches need. Raises UnpicklingError for all others."""
        arrays = module.split(".")[0] == "numpy" and name in ("_reconstruct", "_frombuffer", "ndarray", "dtype")
        if arrays or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it contains a {module}.{name}")


def _download(root: Path) -> None:
    from torchvision.datasets import CIFAR10  # imported here: importing it is slow

    try:
        CIFAR10(str(root), download=True)
    except (OSError, RuntimeError, http.client.HTTPException, tarfile.TarError) as error:
        expected, remedy = f"a connection, and free space in {root}", "download CIFAR-10 by hand and set data.root"
        raise BadData(f"download failed ({error})", expected, remedy) from None
