"""Bags of images from a folder with a sub-folder a class; their bytes are kept as they are.

With train/, val/ or test/ above the classes, bags hold images of one of them and carry its name. Bags
are cut from a shuffle, so that one table serves every class as target.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from PIL import Image

from common.data.images import images_below
from common.data.instances import UNDECODABLE, require_half
from common.data.table.schema import COLUMNS, ENCODED, SPLITS, Payload
from common.data.table.sources.source import BuildConfig, Source
from common.errors import BadData
from common.rng import generator

_BAGS = 256
Labelled = tuple[Path, str]


def open_images(root: Path, config: BuildConfig) -> Source:
    """Bags of `config.bag_size` images; raises BadData for a folder without classes or with mostly broken images."""
    splits = [name for name in SPLITS if (root / name).is_dir()]
    found = {name: _labelled(root / name) for name in splits} if splits else {"train": _labelled(root)}
    payload = Payload("instances", "uint8", (3, config.image_size, config.image_size))
    return Source(payload, _tables(root, found, config))


def _labelled(folder: Path) -> Sequence[Labelled]:
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    found = [(path, each.name) for each in classes for path in images_below(each)]
    if not found:
        raise BadData(f"no image in sub-folders of {folder}", "a sub-folder of images a class", "correct --from")
    return found


def _tables(root: Path, found: dict[str, Sequence[Labelled]], config: BuildConfig) -> Iterator[pa.Table]:
    kept, dropped = 0, list[str]()
    for split, images in found.items():
        order = generator(config.bag_seed, f"table-{split}").permutation(len(images))
        bags = [order[start : start + config.bag_size] for start in range(0, len(order), config.bag_size)]
        for start in range(0, len(bags), _BAGS):
            rows = []
            for number, bag in enumerate(bags[start : start + _BAGS], start):
                read = [_read(images[int(at)], root, dropped) for at in bag]
                whole = [each for each in read if each]
                kept += len(whole)
                if whole:
                    rows.append(_row(f"{split}-{number:06d}", split, whole))
            yield pa.Table.from_pylist(rows, _SCHEMA)
    require_half(kept, dropped, root)


def _read(labelled: Labelled, root: Path, dropped: list[str]) -> tuple[str, bytes, str] | None:
    path, label = labelled
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except UNDECODABLE as error:
        dropped.append(f"{path.relative_to(root)}: {error}")
        return None
    return label, data, str(path.relative_to(root))


def _row(name: str, split: str, images: Sequence[tuple[str, bytes, str]]) -> dict[str, object]:
    labels = sorted({label for label, _, _ in images})
    return {
        "bag_id": name, "labels": labels, "split": split,
        "instances": [{"bytes": data, "path": path} for _, data, path in images],
    }  # fmt: skip


_SCHEMA = pa.schema(
    [*((name, COLUMNS[name]) for name in ("bag_id", "labels", "split")), ("instances", pa.list_(ENCODED))]
)
