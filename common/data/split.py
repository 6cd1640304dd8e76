"""Train, validation and test bags for one target class, each built the same way."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Index
from negsift.common.data.bags import plan_bags
from negsift.common.data.bagset import BagSet
from negsift.common.data.config import DataConfig
from negsift.common.data.instances import Instances
from negsift.common.errors import BadInput, UnknownName
from negsift.common.protocols import Bags
from negsift.common.rng import generator


@dataclass(frozen=True)
class Split:
    """The three sets; `train` is divided into `positives` and the `pool` of negatives."""

    positives: Bags
    pool: Bags
    val: Bags
    test: Bags


def split_bags(train: Instances, test: Instances, config: DataConfig) -> Split:
    """Bags for `config.target`: the validation bags are set aside, stratified, before the pool is formed.

    Bags and split depend on `config.bag_seed` alone, so that every run of a comparison meets the same bags.
    Raises UnknownName for a class, BadData where a class or a kind of bag is missing.
    """
    target = class_number(config.target, train.classes)
    everything = _bags(train, target, config, "train")
    held = _stratified(everything.label, config)
    rest = np.setdiff1d(np.arange(len(everything)), held)
    val = dataclasses.replace(everything.subset(held), name=everything.name)
    kept = everything.subset(rest)
    _require_kinds(kept, val, config)
    return Split(kept.only(1), kept.only(0), val, _bags(test, target, config, "test"))


def class_number(target: str, classes: tuple[str, ...]) -> int:
    """The class meant by a name, or by a number in range."""
    if target in classes:
        return classes.index(target)
    if target.isascii() and target.isdigit() and int(target) < len(classes):
        return int(target)
    raise UnknownName("class", target, classes)


def _bags(instances: Instances, target: int, config: DataConfig, name: str) -> BagSet:
    seed = config.bag_seed * 2 + (name == "test")
    plan = plan_bags(instances.labels == target, config.bag_size, config.density, seed)
    number = np.arange(len(plan.label), dtype=np.int64)
    return BagSet(instances, plan.rows, plan.offsets, plan.label, f"{name}-class{target}", number)


def _stratified(label: Index, config: DataConfig) -> Index:
    random = generator(config.bag_seed, "validation")
    chosen = [random.permutation(np.flatnonzero(label == kind)) for kind in (0, 1)]
    return np.sort(np.concatenate([kind[: max(1, round(len(kind) * config.val_share))] for kind in chosen]))


def _require_kinds(kept: BagSet, val: BagSet, config: DataConfig) -> None:
    for kind, word in ((1, "positive"), (0, "negative")):
        if not (kept.label == kind).any() or not (val.label == kind).any():
            raise BadInput(
                f"too few {word} bags to train and to validate on",
                f"two {word} bags or more",
                "give more instances, smaller bags (data.bag_size) or another data.val_share",
            )
