"""Which bags of a table a dataset takes: by label, and by split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class HashSplit:
    """Moves a `share` of the training groups to each of the `splits`, decided by a hash of (seed, group_id). A bag
    without a group is hashed by its bag_id. So groups stay whole, and appending bags changes no earlier one.
    """

    splits: tuple[str, ...]
    share: float
    seed: int

    def split_of(self, name: str) -> str:
        """The split of a group, or of a bag without one."""
        digest = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
        # The hash as a number in [0, 1): the first `share` of it is the first split, the next `share` the second.
        place = int(int.from_bytes(digest, "little") / 2**64 / self.share)
        return self.splits[place] if place < len(self.splits) else "train"

    def assign(self, table: pa.Table) -> pa.Table:
        """A row group with its `split` filled in; bags marked for another split than train keep it."""
        marked = table["split"].to_pylist()
        groups = pc.binary_join_element_wise("group", table["group_id"], "/")  # no bag_id may equal a group's name
        names = pc.coalesce(groups, table["bag_id"]).to_pylist()
        splits = [
            self.split_of(name) if mark in (None, "train") else mark for name, mark in zip(names, marked, strict=True)
        ]
        return table.set_column(table.column_names.index("split"), "split", pa.chunked_array([splits], pa.string()))


@dataclass(frozen=True)
class BagFilter:
    """The labeled bags of one `split` that are negative for `label`, or `positive` for it. Bags without a split count
    as training bags. `label=None` is negative for every bag.
    """

    label: str | None
    positive: bool = False
    split: str = "train"
    hash_split: HashSplit | None = None

    def mask(self, table: pa.Table) -> bytes:
        """A bit for each bag of a row group whose splits are assigned; set for the bags that are taken."""
        labels = table["labels"].combine_chunks()
        hit = np.zeros(len(labels), dtype=bool)
        if self.label is not None:
            named = pc.equal(labels.flatten(), self.label).to_numpy(zero_copy_only=False)
            hit[pc.list_parent_indices(labels).to_numpy()[named]] = True
        labeled = pc.is_valid(labels).to_numpy(zero_copy_only=False)
        in_split = pc.equal(pc.fill_null(table["split"], "train"), self.split).to_numpy()
        return np.packbits(labeled & (hit == self.positive) & in_split).tobytes()


def needed_columns(hash_split: HashSplit | None) -> Sequence[str]:
    """The columns that `BagFilter.mask` reads."""
    return ["labels", "split", *(["bag_id", "group_id"] if hash_split else [])]
