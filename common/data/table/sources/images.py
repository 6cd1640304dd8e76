"""Bags of encoded images, with their bytes unchanged, cut from a shuffle of all classes: one table serves every target.

Bags contain their images, or with `views` the rows of an instance table, so that an image that is in several bags is
stored and decoded once.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from negsift.common.data.decode_errors import require_mostly_decoded
from negsift.common.data.table.schema import Payload, table_schema
from negsift.common.data.table.sources.encoded_images import EncodedImage, encoded_images, read_if_decodable
from negsift.common.data.table.sources.source import BuildConfig, Source
from negsift.common.rng import generator

_BAGS, _VIEW_BAGS, _IMAGES = 1 << 8, 1 << 14, 1 << 10


def open_images(source: Path, config: BuildConfig) -> Source:
    """Bags of `config.bag_size` images. Every image is in `config.views` bags; one view gives the same bags as none.

    Raises BadData for a source without classes, or with more than half of its images undecodable.
    """
    images, dropped = encoded_images(source, config), list[str]()
    column = "instance_rows" if config.views else "instances"
    payload = Payload(column, "uint8", (3, config.image_size, config.image_size))
    bags = _cut_bags(images, config, config.prefix or source.stem)
    if not config.views:
        return Source(payload, _bags(source, images, bags, payload, dropped), dropped)
    row_of = dict[int, int]()
    table = _instance_table(source, images, payload.instance_payload, row_of, dropped)
    return Source(payload, _bags_of_rows(images, bags, payload, row_of), dropped, table)


Bags = Iterator[tuple[str, Sequence[int]]]
"""Each bag's name and its places among the images."""


def _cut_bags(images: Sequence[EncodedImage], config: BuildConfig, prefix: str) -> Bags:
    """Every split shuffled and cut once for each of `config.views`."""
    for split in dict.fromkeys(image.split for image in images):
        members, number = [place for place, image in enumerate(images) if image.split == split], 0
        for view in range(max(1, config.views)):
            # The first view has the role of tables without views, so that its bags are the same.
            role = f"table-{split}" if view == 0 else f"table-{split}-{view}"
            order = generator(config.bag_seed, role).permutation(len(members))
            for start in range(0, len(order), config.bag_size):
                bag = order[start : start + config.bag_size]
                yield f"{prefix}-{split}-{number:06d}", [members[place] for place in bag]
                number += 1


def _bags(
    source: Path, images: Sequence[EncodedImage], bags: Bags, payload: Payload, dropped: list[str]
) -> Iterator[pa.Table]:
    schema = table_schema(payload)
    while batch := list(itertools.islice(bags, _BAGS)):
        rows = [_row(name, [images[place] for place in bag], dropped) for name, bag in batch]
        yield pa.Table.from_pylist([row for row in rows if row["instances"]], schema)
    require_mostly_decoded(len(images) - len(dropped), dropped, source)


def _row(name: str, images: Sequence[EncodedImage], dropped: list[str]) -> dict[str, object]:
    read = [(image, read_if_decodable(image, dropped)) for image in images]
    kept = [(image, data) for image, data in read if data is not None]
    return _described(name, [image for image, _ in kept], images[0].split) | {
        "instances": [{"bytes": data, "path": image.name} for image, data in kept]
    }


def _described(name: str, images: Sequence[EncodedImage], split: str) -> dict[str, object]:
    return {"bag_id": name, "labels": sorted({label for image in images for label in image.labels}), "split": split}


def _instance_table(
    source: Path, images: Sequence[EncodedImage], payload: Payload, row_of: dict[int, int], dropped: list[str]
) -> Iterator[pa.Table]:
    """The decodable images, in order; `row_of` gets the row of each of them."""
    schema = table_schema(payload)
    for start in range(0, len(images), _IMAGES):
        places = range(len(images))[start : start + _IMAGES]
        read = [(place, read_if_decodable(images[place], dropped)) for place in places]
        kept = [(place, data) for place, data in read if data is not None]
        row_of.update({place: row for row, (place, _) in enumerate(kept, len(row_of))})
        named = [(images[place].name, data) for place, data in kept]
        rows = [{"bag_id": name, "image": {"bytes": data, "path": name}} for name, data in named]
        yield pa.Table.from_pylist(rows, schema)
    require_mostly_decoded(len(row_of), dropped, source)


def _bags_of_rows(
    images: Sequence[EncodedImage], bags: Bags, payload: Payload, row_of: Mapping[int, int]
) -> Iterator[pa.Table]:
    schema = table_schema(payload)
    while batch := list(itertools.islice(bags, _VIEW_BAGS)):
        decodable = [(name, [place for place in bag if place in row_of]) for name, bag in batch]
        rows = [
            _described(name, [images[place] for place in bag], images[bag[0]].split)
            | {"instance_rows": [row_of[place] for place in bag]}
            for name, bag in decodable
            if bag
        ]
        yield pa.Table.from_pylist(rows, schema)
