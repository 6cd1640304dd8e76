"""Sets training bags aside for validation and test by a hash, so that each of these splits has both kinds of bag."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_TRAIN, _MOST_HELD = "train", 64
Kinds = dict[tuple[str, bool], dict[str, float]]
"""For each split, and for negatives and positives in it, some groups with their places among hashes, lowest first."""


@dataclass(frozen=True)
class HashSplit:
    """Moves a `share` of the training groups to each of the `splits`, decided by a hash of (seed, group_id). A bag
    without a group is hashed by its bag_id. So groups stay whole, and appending bags changes no earlier one. `moved`
    has the split of the few groups that are elsewhere than their hash says.
    """

    splits: tuple[str, ...]
    share: float
    seed: int
    moved: Mapping[str, str] = field(default_factory=dict, hash=False)

    def place_of(self, name: str) -> float:
        """The hash of a group, or of a bag without one, as a number in [0, 1)."""
        digest = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") / 2**64

    def split_of(self, name: str) -> str:
        """The split of a group, or of a bag without one; the first `share` of places is that of the first split."""
        number = int(self.place_of(name) / self.share)
        return self.moved.get(name) or (self.splits[number] if number < len(self.splits) else _TRAIN)

    def assign(self, table: pa.Table) -> pa.Table:
        """A row group with its `split` filled in; bags marked for another split than train keep it."""
        marked = table["split"].to_pylist()
        splits = [
            self.split_of(name) if mark in (None, _TRAIN) else mark
            for name, mark in zip(group_names(table), marked, strict=True)
        ]
        return table.set_column(table.column_names.index("split"), "split", pa.chunked_array([splits], pa.string()))


def group_names(table: pa.Table) -> list[str]:
    """What each bag of a row group is hashed by."""
    groups = pc.binary_join_element_wise("group", table["group_id"], "/")  # no bag_id may equal a group's name
    names: list[str] = pc.coalesce(groups, table["bag_id"]).to_pylist()
    return names


def positive_bags(table: pa.Table, label: str | None) -> NDArray[np.bool_]:
    """Which bags of a row group have the label, (rows,)."""
    labels = table["labels"].combine_chunks()
    hit = np.zeros(len(labels), dtype=bool)
    if label is not None:
        named = pc.equal(labels.flatten(), label).to_numpy(zero_copy_only=False)
        hit[pc.list_parent_indices(labels).to_numpy()[named]] = True
    return hit


def with_both_kinds(split: HashSplit, label: str, row_groups: Iterable[pa.Table]) -> HashSplit:
    """The same split, with whole groups moved where training or one of `splits` has no positive, or no negative, bag.

    Each comes from the split that has most groups of that kind, and is the one with the lowest hash there. A kind of
    which there are too few groups stays missing. Row groups are read until every kind was seen: mostly the first will
    do, and nothing is moved.
    """
    kinds: Kinds = {(name, positive): {} for name in (_TRAIN, *split.splits) for positive in (True, False)}
    for table in row_groups:
        for name, part, positive in _groups(split, label, table):
            held = kinds[part, positive]
            held[name] = split.place_of(name)
            if len(held) > 2 * _MOST_HELD:
                kinds[part, positive] = dict(sorted(held.items(), key=_by_place)[:_MOST_HELD])
        if all(kinds.values()):
            return split
    moved = dict[str, str]()
    for part, positive in kinds:
        spare = None if kinds[part, positive] else _spare(kinds, positive)
        if spare is not None:
            moved[spare] = part
            for (_, kind), held in [*kinds.items()]:
                if spare in held:
                    kinds[part, kind][spare] = held.pop(spare)
    return replace(split, moved=moved)


def _groups(split: HashSplit, label: str, table: pa.Table) -> Iterator[tuple[str, str, bool]]:
    """Name, split and kind of each labeled bag that may be moved."""
    parts, told = split.assign(table)["split"].to_pylist(), pc.is_valid(table["labels"]).to_pylist()
    marked, hits = table["split"].to_pylist(), positive_bags(table, label).tolist()
    for name, part, positive, mark, is_told in zip(group_names(table), parts, hits, marked, told, strict=True):
        if is_told and mark in (None, _TRAIN):
            yield name, part, positive


def _spare(kinds: Kinds, positive: bool) -> str | None:
    """A group of that kind from where most are, which keeps both kinds without it; None if there is none."""
    counts = Counter({part: len(held) for (part, kind), held in kinds.items() if kind == positive})
    for part, count in counts.most_common():
        others = kinds[part, not positive]
        for name in sorted(kinds[part, positive], key=lambda name: (kinds[part, positive][name], name)):
            if count > 1 and (others.keys() - {name} or not others):
                return name
    return None


def _by_place(item: tuple[str, float]) -> tuple[float, str]:
    return item[1], item[0]
