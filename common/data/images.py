"""A folder of images with a sub-folder for each class, optionally below train/ and test/."""

import dataclasses
import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tqdm import tqdm

from negsift.common.data.class_names import require_distinct_forms
from negsift.common.data.config import ROOTS, DataConfig
from negsift.common.data.decode_errors import UNDECODABLE, decode_fault, require_mostly_decoded
from negsift.common.data.files_below import endings_below, in_order
from negsift.common.data.instances import Instances, decode_once
from negsift.common.data.sixteen_bits import FaintImages, eight_bits
from negsift.common.errors import BadData
from negsift.common.regular_file import regular
from negsift.common.some_of import some_of

IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
"""The files of a folder that are taken for images, upper or lower case."""
_OTHER = "not a known ending of images"
_BESIDE = "left out, since there are train/ and test/"
_NO_CLASSES = {"__MACOSX"}
_TEST_SHARE = 0.2


def load(config: DataConfig) -> tuple[Instances, Instances]:
    """Training and test images, (M, 3, image_size, image_size) uint8.

    Without folders `train/` and `test/` a fifth of every class becomes the test set. Hidden files and folders are
    ignored. Undecodable images are dropped and listed; files of other endings and folders beside train/ and test/ are
    listed. Raises BadData if more than half of the images are dropped, for fewer than two classes, for classes that
    differ between train/ and test/, where those are spelt with capitals, and for a list of labels beside them.
    """
    root = config.folder(ROOTS["images"])
    _require_small_letters(root)
    if (root / "labels.csv").exists():
        remedy = "make a table: negsift pool build; or move the list away, if folders are the classes"
        raise BadData(f"{root / 'labels.csv'}, a list of labels", "a sub-folder for each class", remedy)
    if _is_split(root):
        train, test = _load_folder(root / "train", config), _load_folder(root / "test", config)
        if train.classes != test.classes:
            odd = some_of(sorted(set(train.classes) ^ set(test.classes)))
            found = f"class {odd} in only one of train/ and test/"
            raise BadData(found, "the same classes in both", "add or remove it")
        beside = [f"{name}/: {_BESIDE}" for name in class_folders(root) if name not in ("train", "test")]
        return dataclasses.replace(train, dropped=(*train.dropped, *beside)), test
    table = _load_folder(root, config)
    counts = np.bincount(table.labels, minlength=len(table.classes))
    if counts.min() < 2:
        rare = table.classes[int(counts.argmin())]
        count = "1 image" if counts.min() == 1 else "no image"
        raise BadData(f"{count} of class {rare!r}", "2 or more", f"add images to {root / rare}, or correct data.root")
    from sklearn.model_selection import train_test_split  # imported here: scorers need this module, and must start fast

    rows = np.arange(len(table))
    # Stratification needs at least one test image for each class.
    share = max(len(table.classes), round(len(table) * _TEST_SHARE))
    train, test = train_test_split(rows, test_size=share, random_state=0, stratify=table.labels)
    return _part(table, np.sort(train), "train"), _part(table, np.sort(test), "test")


def known_classes(config: DataConfig) -> tuple[str, ...]:
    """The classes of the training images, by their folders' names. Raises BadData as `load` does for the folders."""
    root = config.folder(ROOTS["images"])
    return _classes(root / "train" if _is_split(root) else root)


def _is_split(root: Path) -> bool:
    return (root / "train").is_dir() and (root / "test").is_dir()


def _require_small_letters(root: Path) -> None:
    """Raise BadData for folders such as `Train` and `TEST`, which would be two classes."""
    names = class_folders(root) if root.is_dir() else ()
    odd = [name for name in names if name.lower() in ("train", "test") and name != name.lower()]
    if odd and {"train", "test"} <= {name.lower() for name in names}:
        raise BadData(f"the folders {some_of(odd)} in {root}", "train and test", "write them in small letters")


def _part(table: Instances, rows: NDArray[np.int64], name: str) -> Instances:
    """Some rows, memory-mapped from the cache, too, so that processes side by side hold them once."""
    assert table.path is not None  # `decode_once` gave it
    source = table.path.parent.name  # with the hash of the images
    part = decode_once("images-part", [], lambda: table.subset(rows), table=source, part=name)
    return dataclasses.replace(part, dropped=table.dropped)


def _classes(folder: Path) -> tuple[str, ...]:
    classes = class_folders(folder) if folder.is_dir() else ()
    if len(classes) < 2:
        count = "no class folder" if not classes else "1 class folder"
        found = f"{count} in {folder}" if folder.is_dir() else f"no folder {folder}"
        raise BadData(found, "a sub-folder for each of at least two classes", "correct data.root")
    require_distinct_forms(classes, str(folder))
    return classes


def _load_folder(folder: Path, config: DataConfig) -> Instances:
    classes = _classes(folder)
    files = [(path, number) for number, name in enumerate(classes) for path in images_below(folder / name)]
    if not files:
        raise BadData(f"no image below {folder}", f"files ending in {', '.join(sorted(IMAGE_ENDINGS))}", "add some")
    paths = [path for path, _ in files]
    names = [str(path.relative_to(folder)) for path in paths]
    decode = functools.partial(_decode_all, folder, files, classes, config.image_size)
    table = decode_once("images", paths, decode, classes=classes, names=names, size=config.image_size)
    return dataclasses.replace(table, dropped=(*table.dropped, *others_below(folder, folder)))


def class_folders(folder: Path) -> tuple[str, ...]:
    """The names of the visible folders in a folder, sorted."""
    names = (path.name for path in folder.iterdir() if path.is_dir())
    return tuple(sorted(name for name in names if name[0] != "." and name not in _NO_CLASSES))


def images_below(folder: Path) -> Sequence[Path]:
    """All visible files in a folder and its sub-folders that have the ending of an image, sorted."""
    found = endings_below(folder)
    return in_order(path for ending in IMAGE_ENDINGS for path in found.get(ending, ()))


def others_below(root: Path, folder: Path) -> list[str]:
    """A line for each visible file in the classes of `folder` that has another ending, named from `root`."""
    found = (endings_below(folder / name).items() for name in class_folders(folder))
    others = in_order(path for some in found for ending, paths in some if ending not in IMAGE_ENDINGS for path in paths)
    return [f"{path.relative_to(root)}: {_OTHER}" for path in others]


def _decode_all(folder: Path, files: Sequence[tuple[Path, int]], classes: tuple[str, ...], size: int) -> Instances:
    images, labels, dropped, faint = [], [], [], FaintImages()
    for path, label in tqdm(files, "decoding", disable=None, leave=False):
        name = str(path.relative_to(folder))
        try:
            with Image.open(regular(path)) as image:
                images.append(_pixels(image, size, size))
                faint.look(image, name)
            labels.append(label)
        except UNDECODABLE as error:
            dropped.append(f"{name}: {decode_fault(error)}")
    require_mostly_decoded(len(images), dropped, folder)
    faint.report()
    return Instances(np.array(labels, dtype=np.int64), classes, tuple(dropped), in_memory=np.stack(images))


def decode_image(source: Path | BinaryIO, height: int, width: int) -> NDArray[np.uint8]:
    """An image as (3, height, width) uint8, upright and resized. Raises one of `UNDECODABLE` for a damaged file."""
    with Image.open(source) as image:
        return _pixels(image, height, width)


def image_size(content: bytes) -> tuple[int, int]:
    """Height and width of an upright image. Raises one of `UNDECODABLE` for a damaged file."""
    with Image.open(io.BytesIO(content)) as image:
        width, height = ImageOps.exif_transpose(image).size
    return height, width


def _pixels(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    upright = eight_bits(ImageOps.exif_transpose(image))
    resized = upright.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1)
