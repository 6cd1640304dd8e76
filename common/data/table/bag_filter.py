"""Which bags of a table a dataset takes: by label, and by split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from negsift.common.data.table.hash_split import HashSplit, positive_bags


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
        hit = positive_bags(table, self.label)
        labeled = pc.is_valid(table["labels"].combine_chunks()).to_numpy(zero_copy_only=False)
        in_split = pc.equal(pc.fill_null(table["split"], "train"), self.split).to_numpy()
        return np.packbits(labeled & (hit == self.positive) & in_split).tobytes()


def needed_columns(hash_split: HashSplit | None) -> Sequence[str]:
    """The columns that `BagFilter.mask` reads."""
    return ["labels", "split", *(["bag_id", "group_id"] if hash_split else [])]
