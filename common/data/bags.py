"""Makes bags from labelled instances: how many positives each positive bag has, and which instances it gets.

Section 5.1.1 of Shah et al. (arXiv 2309.13227): bags have a fixed size, the number of positives in a positive bag
is spread evenly over 1..size, and every instance is in exactly one bag.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Index
from negsift.common.errors import BadData, BadInput
from negsift.common.rng import generator


@dataclass(frozen=True)
class BagPlan:
    """The instance rows of every bag: bag b is `rows[offsets[b]:offsets[b + 1]]`. `positives` (n,) is the number of
    positive instances of each bag.
    """

    rows: Index
    offsets: Index
    positives: Index

    @property
    def label(self) -> Index:
        """1 for a positive bag, 0 for a negative one, (n,)."""
        return (self.positives > 0).astype(np.int64)


def plan_bags(positive: NDArray[np.bool_], size: int, density: str, seed: int) -> BagPlan:
    """Bags of `size` over all instances; `positive` (M,) marks those of the target class.

    `density` is the number of positives in a positive bag: `uniform` (evenly over 1..size), `range:a-b` (evenly over
    a..b), `fixed:m`, or `natural` (as a shuffle of all instances yields it). Negatives fill the positive bags; the
    remaining negatives are cut into negative bags, of which the last may be smaller. Raises BadInput for an
    unknown density, BadData without instances of both kinds or with too few negatives.
    """
    random = generator(seed, "bags")
    ones = random.permutation(np.flatnonzero(positive))
    zeros = random.permutation(np.flatnonzero(~positive))
    _require_both(len(ones), len(zeros), size)
    if density == "natural":
        bags = _cut(random.permutation(len(positive)), size)
    else:
        bags = _mix(ones, zeros, size, positives_per_bag(len(ones), size, density))
    shuffled = [random.permutation(bags[b]) for b in random.permutation(len(bags))]
    # Shuffled once more, or the positives would come first in every bag, and positive bags before negative ones.
    offsets = np.concatenate([[0], np.cumsum([len(bag) for bag in shuffled])]).astype(np.int64)
    rows = np.concatenate(shuffled).astype(np.int64)
    return BagPlan(rows, offsets, np.add.reduceat(positive[rows].astype(np.int64), offsets[:-1]))


def positives_per_bag(total: int, size: int, density: str) -> Index:
    """The number of positives of each positive bag; they sum to `total`. For counts a..b there are floor(total / (a + …
    + b)) bags of each count. The remainder goes into bags of b, and the rest of it into a last bag.
    """
    low, high = density_range(density, size)
    repeats, rest = divmod(total, sum(range(low, high + 1)))
    counts = np.repeat(np.arange(low, high + 1), repeats).tolist() + [high] * (rest // high)
    return np.array(counts + [rest % high] * (rest % high > 0), dtype=np.int64)


def density_range(density: str, size: int) -> tuple[int, int]:
    """The least and the most positives of a positive bag of that size, unless it is `natural`. Raises BadInput for an
    unknown density.
    """
    if density == "uniform":
        return 1, size
    match = re.fullmatch(r"fixed:(\d{1,18})|range:(\d{1,18})-(\d{1,18})", density)
    low, high = (int(match[1] or match[2]), int(match[1] or match[3])) if match else (0, 0)
    if not 1 <= low <= high <= size:
        expected = f"uniform, natural, fixed:m or range:a-b with 1 <= a <= b <= {size} (the bag size)"
        raise BadInput(f"label density {density!r}", expected, "correct data.density")
    return low, high


def _mix(ones: Index, zeros: Index, size: int, counts: Index) -> list[Index]:
    fillers = size - counts
    if fillers.sum() > len(zeros):
        remedy = "choose a denser data.density or a smaller data.bag_size"
        raise BadData(f"{len(zeros)} negative instances", f"at least {fillers.sum()} to fill the positive bags", remedy)
    positives = np.split(ones, np.cumsum(counts)[:-1])
    negatives = np.split(zeros[: fillers.sum()], np.cumsum(fillers)[:-1])
    mixed = [np.concatenate(pair) for pair in zip(positives, negatives, strict=True)]
    return mixed + _cut(zeros[fillers.sum() :], size)


def _cut(rows: Index, size: int) -> list[Index]:
    return np.split(rows, range(size, len(rows), size)) if len(rows) else []


def _require_both(ones: int, zeros: int, size: int) -> None:
    if size < 1:
        raise BadInput(f"bag size {size}", "at least 1", "correct data.bag_size")
    require_as_many(size, ones + zeros, "data.bag_size")
    if not ones or not zeros:
        kind = "positive" if not ones else "negative"
        raise BadData(f"no {kind} instance", "positive and negative ones", "choose another data.target")


def require_as_many(size: int, instances: int, key: str) -> None:
    """Raise BadData for bags of more instances than there are, before anything of that size is made."""
    if size > instances:
        raise BadData(f"bags of {size} instances ({key})", f"at most the {instances} there are", "lower it")
