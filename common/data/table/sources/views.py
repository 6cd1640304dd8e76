"""Bags that are rows of an instance table: an image that is in several bags is stored and decoded once."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from negsift.common.data.decode_errors import require_mostly_decoded
from negsift.common.data.table.schema import COLUMNS, ENCODED, Payload
from negsift.common.data.table.sources.encoded_images import EncodedImage, read_if_decodable
from negsift.common.data.table.sources.source import BuildConfig, Source
from negsift.common.rng import generator

_BAGS, _IMAGES = 1 << 14, 1 << 10


def open_views(source: Path, images: Sequence[EncodedImage], config: BuildConfig) -> Source:
    """Bags of row numbers, with every image in `config.views` bags. With one view they are the same bags as those that
    `open_images` makes without views.
    """
    payload = Payload("instance_rows", "uint8", (3, config.image_size, config.image_size))
    dropped, row_of = list[str](), dict[int, int]()
    return Source(payload, _bags(source, images, config, row_of), dropped, _images(source, images, row_of, dropped))


def cut_bags(images: Sequence[EncodedImage], config: BuildConfig, prefix: str) -> Iterator[tuple[str, Sequence[int]]]:
    """Each bag's name and its places in `images`. Every split is shuffled and cut once for each of `config.views`."""
    for split in dict.fromkeys(image.split for image in images):
        members, number = [place for place, image in enumerate(images) if image.split == split], 0
        for view in range(max(1, config.views)):
            # The first view has the role of tables without views, so that its bags are the same.
            role = f"table-{split}" if view == 0 else f"table-{split}-{view}"
            order = generator(config.bag_seed, role).permutation(len(members))
            for start in range(0, len(order), config.bag_size):
                bag = [members[place] for place in order[start : start + config.bag_size]]
                yield f"{prefix}-{split}-{number:06d}", bag
                number += 1


def _images(
    source: Path, images: Sequence[EncodedImage], row_of: dict[int, int], dropped: list[str]
) -> Iterator[pa.Table]:
    """The decodable images, in order; `row_of` gets the row of each of them."""
    for start in range(0, len(images), _IMAGES):
        places = range(len(images))[start : start + _IMAGES]
        read = [(place, read_if_decodable(images[place], dropped)) for place in places]
        kept = [(place, data) for place, data in read if data is not None]
        row_of.update({place: row for row, (place, _) in enumerate(kept, len(row_of))})
        rows = [{"bag_id": images[p].name, "image": {"bytes": data, "path": images[p].name}} for p, data in kept]
        yield pa.Table.from_pylist(rows, _IMAGE)
    require_mostly_decoded(len(row_of), dropped, source)


def _bags(
    source: Path, images: Sequence[EncodedImage], config: BuildConfig, row_of: Mapping[int, int]
) -> Iterator[pa.Table]:
    bags = cut_bags(images, config, config.prefix or source.stem)
    while batch := list(itertools.islice(bags, _BAGS)):
        decodable = [(name, [place for place in bag if place in row_of]) for name, bag in batch]
        rows = [
            {
                "bag_id": name, "labels": sorted({label for place in bag for label in images[place].labels}),
                "split": images[bag[0]].split, "instance_rows": [row_of[place] for place in bag],
            }
            for name, bag in decodable if bag
        ]  # fmt: skip
        yield pa.Table.from_pylist(rows, _BAG)


_IMAGE = pa.schema([("bag_id", pa.string()), ("labels", COLUMNS["labels"]), ("image", ENCODED)])
_BAG = pa.schema(
    [*((name, COLUMNS[name]) for name in ("bag_id", "labels", "split")), ("instance_rows", pa.list_(pa.int64()))]
)
