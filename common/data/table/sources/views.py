"""Bags that are rows of a table of images: an image that is in many bags lies there once, and is decoded once."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from negsift.common.data.instances import require_half
from negsift.common.data.table.schema import COLUMNS, ENCODED, Payload
from negsift.common.data.table.sources.encoded import EncodedBagsSource, read_whole
from negsift.common.data.table.sources.source import BuildConfig, Source
from negsift.common.rng import generator

_BAGS, _IMAGES = 1 << 14, 1 << 10


def views_of(source: Path, images: Sequence[EncodedBagsSource], config: BuildConfig) -> Source:
    """Bags of rows, every image in `config.views` of them; of one, they are those of `open_images` without views."""
    payload = Payload("instance_rows", "uint8", (3, config.image_size, config.image_size))
    dropped, row_of = list[str](), dict[int, int]()
    return Source(payload, _bags(source, images, config, row_of), dropped, _images(source, images, row_of, dropped))


def cut(images: Sequence[EncodedBagsSource], config: BuildConfig, prefix: str) -> Iterator[tuple[str, Sequence[int]]]:
    """Bags by name, as places among `images`: every split shuffled and cut, once or `config.views` times."""
    for split in dict.fromkeys(image.split for image in images):
        mine, number = [at for at, image in enumerate(images) if image.split == split], 0
        for turn in range(max(1, config.views)):
            role = f"table-{split}" if turn == 0 else f"table-{split}-{turn}"
            order = generator(config.bag_seed, role).permutation(len(mine))
            for start in range(0, len(order), config.bag_size):
                yield f"{prefix}-{split}-{number:06d}", [mine[at] for at in order[start : start + config.bag_size]]
                number += 1


def _images(
    source: Path, images: Sequence[EncodedBagsSource], row_of: dict[int, int], dropped: list[str]
) -> Iterator[pa.Table]:
    """Those that can be decoded, in order; their rows go into `row_of`."""
    for start in range(0, len(images), _IMAGES):
        read = [(at, read_whole(images[at], dropped)) for at in range(len(images))[start : start + _IMAGES]]
        kept = [(at, data) for at, data in read if data is not None]
        row_of.update({at: row for row, (at, _) in enumerate(kept, len(row_of))})
        rows = [{"bag_id": images[at].name, "image": {"bytes": data, "path": images[at].name}} for at, data in kept]
        yield pa.Table.from_pylist(rows, _IMAGE)
    require_half(len(row_of), dropped, source)


def _bags(
    source: Path, images: Sequence[EncodedBagsSource], config: BuildConfig, row_of: Mapping[int, int]
) -> Iterator[pa.Table]:
    bags = cut(images, config, config.prefix or source.stem)
    while run := list(itertools.islice(bags, _BAGS)):
        whole = [(name, [at for at in bag if at in row_of]) for name, bag in run]
        rows = [
            {
                "bag_id": name, "labels": sorted({label for at in bag for label in images[at].labels}),
                "split": images[bag[0]].split, "instance_rows": [row_of[at] for at in bag],
            }
            for name, bag in whole if bag
        ]  # fmt: skip
        yield pa.Table.from_pylist(rows, _BAG)


_IMAGE = pa.schema([("bag_id", pa.string()), ("labels", COLUMNS["labels"]), ("image", ENCODED)])
_BAG = pa.schema(
    [*((name, COLUMNS[name]) for name in ("bag_id", "labels", "split")), ("instance_rows", pa.list_(pa.int64()))]
)
