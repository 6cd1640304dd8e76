"""Bags of encoded images, with their bytes unchanged, cut from a shuffle of all classes: one table serves every target.

Bags contain their images, or with `views` the rows of an instance table, so that an image that is in several bags is
stored and decoded once.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from negsift.common.data.bags import require_as_many
from negsift.common.data.table.schema import Payload, table_schema
from negsift.common.data.table.sources.encoded_images import (
    EncodedImage,
    ImageReader,
    encoded_images,
    has_rows,
    others_beside,
)
from negsift.common.data.table.sources.image_bags import image_lists, open_image_bags
from negsift.common.data.table.sources.shards import shards
from negsift.common.data.table.sources.source import BuildConfig, Part, Source, cut
from negsift.common.rng import generator

_BAGS, _VIEW_BAGS, _IMAGES = 1 << 8, 1 << 14, 1 << 10


def open_images(source: Path, config: BuildConfig) -> Source:
    """Bags of `config.bag_size` images, or those that rows have. Every image is in `config.views` bags; one view gives
    the same bags as none.

    Raises BadData for a source without classes, with fewer images than a bag has, or with more than half of them
    undecodable.
    """
    listed = has_rows(source, config) and image_lists(shards(source)[0].path, config)
    if listed:
        return open_image_bags(shards(source), listed, config)
    images = encoded_images(source, config)
    require_as_many(config.bag_size, len(images), "bag_size")
    column = "instance_rows" if config.views else "instances"
    payload = Payload(column, "uint8", (3, config.image_size, config.image_size))
    bags = _cut_bags(images, config, config.prefix or source.stem)
    made = functools.partial(Source, payload, beside=others_beside(source, config), unit="images")
    if not config.views:
        some = [(name, [images[place] for place in bag]) for name, bag in bags]
        return made([Part(functools.partial(_bags, bags, payload), files) for bags, files in cut(some, _own)])
    row_of = dict[int, int]()
    table = _instance_table(images, payload.instance_payload, row_of)
    return made([Part(functools.partial(_bags_of_rows, images, bags, payload, row_of))], images=table)


Bags = Iterator[tuple[str, Sequence[int]]]
"""Each bag's name and its places among the images."""


def _cut_bags(images: Sequence[EncodedImage], config: BuildConfig, prefix: str) -> Bags:
    """Every split shuffled and cut once for each of `config.views`, its unlabeled images for themselves: a bag of which
    one image is unlabeled could not be negative.
    """
    kinds = dict[tuple[str, bool], list[int]]()
    for place, image in enumerate(images):
        kinds.setdefault((image.split, image.labels is None), []).append(place)
    numbers = {split: itertools.count() for split, _ in kinds}
    for (split, unlabeled), members in kinds.items():
        kind = f"{split}-unlabeled" if unlabeled else split
        for view in range(max(1, config.views)):
            # The first view has the role of tables without views, so that its bags are the same.
            role = f"table-{kind}" if view == 0 else f"table-{kind}-{view}"
            order = generator(config.bag_seed, role).permutation(len(members))
            for start in range(0, len(order), config.bag_size):
                bag = order[start : start + config.bag_size]
                yield f"{prefix}-{split}-{next(numbers[split]):06d}", [members[place] for place in bag]


Filled = tuple[str, Sequence[EncodedImage]]
"""A bag's name and its images."""


def _own(bag: Filled) -> list[Path]:
    """The files of a bag's images, where they have files of their own."""
    return [image.path for image in bag[1] if image.path is not None]


def _bags(bags: Sequence[Filled], payload: Payload) -> Iterator[pa.Table | str]:
    schema, reader = table_schema(payload), ImageReader()
    for start in range(0, len(bags), _BAGS):
        rows = list[dict[str, object]]()
        for name, images in bags[start : start + _BAGS]:
            read = [(image, reader.read(image)) for image in images]
            yield from (data for _, data in read if isinstance(data, str))
            kept = [(image, data) for image, data in read if isinstance(data, bytes)]
            encoded = [{"bytes": data, "path": image.name} for image, data in kept]
            described = _described(name, [image for image, _ in kept], images[0].split)
            rows += [described | {"instances": encoded}] if kept else []
        yield pa.Table.from_pylist(rows, schema)
    yield from reader.finish()


def _described(name: str, images: Sequence[EncodedImage], split: str) -> dict[str, object]:
    told = [image.labels for image in images if image.labels is not None]
    labels = sorted({label for labels in told for label in labels}) if told else None
    return {"bag_id": name, "labels": labels, "split": split}


def _instance_table(
    images: Sequence[EncodedImage], payload: Payload, row_of: dict[int, int]
) -> Iterator[pa.Table | str]:
    """The decodable images, in order; `row_of` gets the row of each of them."""
    schema, reader = table_schema(payload), ImageReader()
    for start in range(0, len(images), _IMAGES):
        places = range(len(images))[start : start + _IMAGES]
        read = [(place, reader.read(images[place])) for place in places]
        yield from (data for _, data in read if isinstance(data, str))
        kept = [(place, data) for place, data in read if isinstance(data, bytes)]
        row_of.update({place: row for row, (place, _) in enumerate(kept, len(row_of))})
        named = [(images[place].name, data) for place, data in kept]
        rows = [{"bag_id": name, "image": {"bytes": data, "path": name}} for name, data in named]
        yield pa.Table.from_pylist(rows, schema)
    yield from reader.finish()


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
