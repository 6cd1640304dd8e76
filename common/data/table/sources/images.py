"""Bags of encoded images, whose bytes are kept as they are, cut from a shuffle: one table serves every class."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from negsift.common.data.instances import require_half
from negsift.common.data.table.schema import COLUMNS, ENCODED, Payload
from negsift.common.data.table.sources.encoded import EncodedBagsSource, encoded_images, read_whole
from negsift.common.data.table.sources.source import BuildConfig, Source
from negsift.common.data.table.sources.views import cut, views_of

_BAGS = 256


def open_images(source: Path, config: BuildConfig) -> Source:
    """Bags of `config.bag_size` images; raises BadData for a source without classes or with mostly broken images."""
    images = encoded_images(source, config)
    if config.views:
        return views_of(source, images, config)
    payload = Payload("instances", "uint8", (3, config.image_size, config.image_size))
    dropped = list[str]()
    return Source(payload, _tables(source, images, config, dropped), dropped)


def _tables(
    source: Path, images: Sequence[EncodedBagsSource], config: BuildConfig, dropped: list[str]
) -> Iterator[pa.Table]:
    bags = cut(images, config, config.prefix or source.stem)
    while run := list(itertools.islice(bags, _BAGS)):
        rows = [_row(name, [images[at] for at in bag], dropped) for name, bag in run]
        yield pa.Table.from_pylist([row for row in rows if row["instances"]], _SCHEMA)
    require_half(len(images) - len(dropped), dropped, source)


def _row(name: str, images: Sequence[EncodedBagsSource], dropped: list[str]) -> dict[str, object]:
    read = [(image, read_whole(image, dropped)) for image in images]
    kept = [(image, data) for image, data in read if data is not None]
    return {
        "bag_id": name, "labels": sorted({label for image, _ in kept for label in image.labels}),
        "split": images[0].split, "instances": [{"bytes": data, "path": image.name} for image, data in kept],
    }  # fmt: skip


_SCHEMA = pa.schema(
    [*((name, COLUMNS[name]) for name in ("bag_id", "labels", "split")), ("instances", pa.list_(ENCODED))]
)
