"""Bags of encoded images, with their bytes unchanged, cut from a shuffle of all classes. So one table serves every
target.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from negsift.common.data.decode_errors import require_mostly_decoded
from negsift.common.data.table.schema import COLUMNS, ENCODED, Payload
from negsift.common.data.table.sources.encoded_images import EncodedImage, encoded_images, read_if_decodable
from negsift.common.data.table.sources.source import BuildConfig, Source
from negsift.common.data.table.sources.views import cut_bags, open_views

_BAGS = 256


def open_images(source: Path, config: BuildConfig) -> Source:
    """Bags of `config.bag_size` images, or with `config.views` bags that refer to an instance table. Raises BadData for
    a source without classes, or with more than half of its images undecodable.
    """
    images = encoded_images(source, config)
    if config.views:
        return open_views(source, images, config)
    payload = Payload("instances", "uint8", (3, config.image_size, config.image_size))
    dropped = list[str]()
    return Source(payload, _tables(source, images, config, dropped), dropped)


def _tables(
    source: Path, images: Sequence[EncodedImage], config: BuildConfig, dropped: list[str]
) -> Iterator[pa.Table]:
    bags = cut_bags(images, config, config.prefix or source.stem)
    while batch := list(itertools.islice(bags, _BAGS)):
        rows = [_row(name, [images[place] for place in bag], dropped) for name, bag in batch]
        yield pa.Table.from_pylist([row for row in rows if row["instances"]], _SCHEMA)
    require_mostly_decoded(len(images) - len(dropped), dropped, source)


def _row(name: str, images: Sequence[EncodedImage], dropped: list[str]) -> dict[str, object]:
    read = [(image, read_if_decodable(image, dropped)) for image in images]
    kept = [(image, data) for image, data in read if data is not None]
    return {
        "bag_id": name, "labels": sorted({label for image, _ in kept for label in image.labels}),
        "split": images[0].split, "instances": [{"bytes": data, "path": image.name} for image, data in kept],
    }  # fmt: skip


_SCHEMA = pa.schema(
    [*((name, COLUMNS[name]) for name in ("bag_id", "labels", "split")), ("instances", pa.list_(ENCODED))]
)
