"""Which bags of a table are meant: by label, and by the part of the data they are for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class HeldOut:
    """Of the bags to train with, a `share` of the groups is set aside for each of the `parts`.

    It is decided by a hash of (seed, group_id), or of the bag_id where there is no group: a group is never cut,
    and what is appended later changes nothing for the bags before.
    """

    parts: tuple[str, ...]
    share: float
    seed: int

    def part(self, name: str) -> str:
        """What the bags of a group, or a bag, are for."""
        digest = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
        place = int(int.from_bytes(digest, "little") / 2**64 / self.share)
        return self.parts[place] if place < len(self.parts) else "train"

    def decided(self, table: pa.Table) -> pa.Table:
        """A row group with a `split` that says so."""
        split = table["split"].to_pylist()
        groups = pc.binary_join_element_wise("group", table["group_id"], "/")  # other than a bag of that name
        names = pc.coalesce(groups, table["bag_id"]).to_pylist()
        parts = [self.part(name) if part in (None, "train") else part for name, part in zip(names, split, strict=True)]
        return table.set_column(table.column_names.index("split"), "split", pa.chunked_array([parts], pa.string()))


@dataclass(frozen=True)
class BagFilter:
    """Bags labeled, positive for `label` or not, for one `part`; those without a split are to train with."""

    label: str | None
    positive: bool = False
    part: str = "train"
    aside: HeldOut | None = None

    def rows(self, table: pa.Table) -> bytes:
        """The bags of a row group, its splits decided, that are wanted, a bit each."""
        labels = table["labels"].combine_chunks()
        hit = np.zeros(len(labels), dtype=bool)
        if self.label is not None:
            named = pc.equal(labels.flatten(), self.label).to_numpy(zero_copy_only=False)
            hit[pc.list_parent_indices(labels).to_numpy()[named]] = True
        labeled = pc.is_valid(labels).to_numpy(zero_copy_only=False)
        part = pc.equal(pc.fill_null(table["split"], "train"), self.part).to_numpy()
        return np.packbits(labeled & (hit == self.positive) & part).tobytes()


def columns(aside: HeldOut | None) -> Sequence[str]:
    """What has to be read to tell which bags are wanted."""
    return ["labels", "split", *(["bag_id", "group_id"] if aside else [])]
