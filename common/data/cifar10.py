"""CIFAR-10 (Krizhevsky 2009), from parquet files or python batches in `data.root`, or downloaded."""

import http.client
import tarfile
from pathlib import Path

from negsift.common.data.cifar10_batches import read_batches
from negsift.common.data.config import DataConfig
from negsift.common.data.image_parquet import read_parquet
from negsift.common.data.instances import Instances, decode_once
from negsift.common.errors import BadData, BadInput

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32

_BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}


def load(config: DataConfig) -> tuple[Instances, Instances]:
    """Training and test images, (M, 3, 32, 32) uint8.

    `data.root` contains Hugging Face's parquet files (`train*.parquet` and `test*.parquet`, at any depth, with a
    column `img` or `image`) or the official python batches. With `data.download=true` torchvision downloads the
    batches if there is neither. Raises BadData if no file is found or one is damaged, BadInput for other image sizes.
    """
    if config.root is None:
        raise BadData("no data.root", "the folder of CIFAR-10", "add --set data.root=FOLDER")
    if config.image_size != SIDE:
        raise BadInput(f"data.image_size={config.image_size} with cifar10", f"{SIDE}", "leave data.image_size alone")
    root = Path(config.root).expanduser()
    if config.download and not (_parquet(root, "train") or _batches(root, "train")):
        _download(root)
    train, test = _load_part(root, "train"), _load_part(root, "test")
    if train.classes != test.classes:
        raise BadData(f"different classes in test and train files below {root}", "the same", "download them again")
    return train, test


def _load_part(root: Path, part: str) -> Instances:
    parquet, batches = _parquet(root, part), _batches(root, part)
    if parquet:
        return decode_once("cifar10", parquet, lambda: read_parquet(parquet, CLASSES, SIDE), part=part)
    missing = set(_BATCHES[part]) - {path.name for path in batches}
    if not missing:
        return decode_once("cifar10", batches, lambda: read_batches(batches, CLASSES, SIDE), part=part)
    nothing = f"the file {root}" if root.is_file() else f"no {part}*.parquet and no python batches below {root}"
    raise BadData(
        f"no {', '.join(sorted(missing))} beside {batches[0]}" if batches else nothing,
        "the folder of CIFAR-10, in parquet or all python batches",
        "correct --set data.root, or add --set data.download=true when online",
    )


def _parquet(root: Path, part: str) -> list[Path]:
    return sorted(path for path in root.rglob(f"{part}*.parquet") if not path.is_dir())


def _batches(root: Path, part: str) -> list[Path]:
    return sorted(path for name in _BATCHES[part] for path in root.rglob(name))


def _download(root: Path) -> None:
    from torchvision.datasets import CIFAR10  # imported here: importing it is slow

    try:
        CIFAR10(str(root), download=True)
    except (OSError, RuntimeError, http.client.HTTPException, tarfile.TarError) as error:
        expected, remedy = f"a connection, and free space in {root}", "download CIFAR-10 by hand and set data.root"
        raise BadData(f"download failed ({error})", expected, remedy) from None
