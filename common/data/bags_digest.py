"""A hash of what labelled bags are, by which two runs can be seen to have the same ones."""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.bagset import BagSet
from negsift.common.data.protocols import LabelledBags
from negsift.common.data.split import Split
from negsift.common.data.table.table_set import TableSet

PARTS = ("positives", "pool", "val", "test")


def split_digests(split: Split) -> dict[str, str]:
    """The digest of each part of a split."""
    return {part: bags_digest(getattr(split, part)) for part in PARTS}


def bags_digest(bags: LabelledBags) -> str:
    """Bags with the same digest have the same content, ids and labels, in the same order, wherever their files lie.

    No bag is read: of decoded images and clips, the cache's name is a hash of the content, and of a bag table the
    manifest holds such hashes. Only pixels in memory are hashed here.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in _parts(bags):
        content = np.ascontiguousarray(part).data.cast("B") if isinstance(part, np.ndarray) else str(part).encode()
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()


def _parts(bags: LabelledBags) -> Iterator[NDArray[np.generic] | object]:
    """Arrays, and values whose text says all."""
    yield from (bags.name, bags.label)
    if isinstance(bags, TableSet):
        yield from (bags.form, bags.part, bags.row)
        for table in bags.tables:
            yield from (table.manifest.digest, *table.row_index.masks)
    elif isinstance(bags, ClipSet):
        yield from (bags.form, bags.instances.store.content, bags.instances.ids, bags.instances.number[bags.rows])
    else:
        assert isinstance(bags, BagSet)  # there is no other kind
        yield from (bags.instances.content, bags.rows, bags.offsets, bags.number)
