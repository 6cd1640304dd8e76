"""Bags from labelled instances: how many positives a positive bag holds, and who sits where.

The counts follow section 5.1.1 of Shah et al. (arXiv 2309.13227): fixed bag size, the number of
positives in a positive bag spread evenly over 1..size, every instance in exactly one bag.
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
    """Which instance rows make up which bag: bag b is `rows[offsets[b]:offsets[b + 1]]`.

    `label` (n,) is 1 where `positives` (n,), the number of positive instances, is not 0.
    """

    rows: Index
    offsets: Index
    positives: Index

    @property
    def label(self) -> Index:
        """1 for a positive bag, 0 for a negative one, (n,)."""
        return (self.positives > 0).astype(np.int64)


def plan_bags(positive: NDArray[np.bool_], size: int, density: str, seed: int) -> BagPlan:
    """Bags of `size` over all instances, `positive` (M,) telling which are of the target class.

    `density` says how many positives a positive bag has: `uniform` (evenly over 1..size),
    `range:a-b` (evenly over a..b), `fixed:m`, or `natural` (whatever a shuffle brings). Positive
    bags are filled up with negatives; what is left is cut into negative bags, the last of which
    may be smaller. Raises BadInput for an unknown density, BadData if there is nothing to build.
    """
    random = generator(seed, "bags")
    ones = random.permutation(np.flatnonzero(positive))
    zeros = random.permutation(np.flatnonzero(~positive))
    _require_both(len(ones), len(zeros), size)
    if density == "natural":
        bags = _cut(random.permutation(len(positive)), size)
    else:
        bags = _mix(ones, zeros, size, positives_per_bag(len(ones), size, density))
    order = random.permutation(len(bags))
    shuffled = [random.permutation(bags[b]) for b in order]
    offsets = np.concatenate([[0], np.cumsum([len(bag) for bag in shuffled])]).astype(np.int64)
    rows = np.concatenate(shuffled).astype(np.int64)
    return BagPlan(rows, offsets, np.add.reduceat(positive[rows].astype(np.int64), offsets[:-1]))


def positives_per_bag(total: int, size: int, density: str) -> Index:
    """How many positives each positive bag gets, summing to `total`.

    With counts a..b, floor(total / (a + … + b)) bags of each count; the remainder goes into bags
    of b, and a last bag takes what is left.
    """
    low, high = _parse_density(density, size)
    each, rest = divmod(total, sum(range(low, high + 1)))
    counts = np.repeat(np.arange(low, high + 1), each).tolist() + [high] * (rest // high)
    return np.array(counts + [rest % high] * (rest % high > 0), dtype=np.int64)


def _parse_density(density: str, size: int) -> tuple[int, int]:
    if density == "uniform":
        return 1, size
    match = re.fullmatch(r"fixed:(\d+)|range:(\d+)-(\d+)", density)
    low, high = (int(match[1] or match[2]), int(match[1] or match[3])) if match else (0, 0)
    if not 1 <= low <= high <= size:
        expected = f"uniform, natural, fixed:m or range:a-b with 1 <= a <= b <= {size} (the bag size)"
        raise BadInput(f"label density {density!r}", expected, "correct --set data.density")
    return low, high


def _mix(ones: Index, zeros: Index, size: int, counts: Index) -> list[Index]:
    fillers = size - counts
    if fillers.sum() > len(zeros):
        raise BadData(
            f"{len(zeros)} negative instances",
            f"at least {fillers.sum()} to fill the positive bags",
            "choose a denser --set data.density or a smaller --set data.bag_size",
        )
    mine = np.split(ones, np.cumsum(counts)[:-1])
    others = np.split(zeros[: fillers.sum()], np.cumsum(fillers)[:-1])
    mixed = [np.concatenate(pair) for pair in zip(mine, others, strict=True)]
    return mixed + _cut(zeros[fillers.sum() :], size)


def _cut(rows: Index, size: int) -> list[Index]:
    return np.split(rows, range(size, len(rows), size)) if len(rows) else []


def _require_both(ones: int, zeros: int, size: int) -> None:
    if size < 1:
        raise BadInput(f"bag size {size}", "at least 1", "correct --set data.bag_size")
    if not ones or not zeros:
        kind = "positive" if not ones else "negative"
        raise BadData(f"no {kind} instance", "both kinds", "choose another --set data.target")
