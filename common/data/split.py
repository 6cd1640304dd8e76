"""Training, validation and test bags for one target class."""

from dataclasses import dataclass, field

import numpy as np

from negsift.common.arrays import Index
from negsift.common.data.bags import plan_bags
from negsift.common.data.bagset import BagSet
from negsift.common.data.class_names import class_number
from negsift.common.data.config import DataConfig
from negsift.common.data.instances import Instances
from negsift.common.data.protocols import LabelledBags
from negsift.common.errors import BadInput
from negsift.common.rng import generator


@dataclass(frozen=True)
class Split:
    """The training bags, as `positives` and as the `pool` of negatives, and those for validation and test.

    So many `descendants` were left out of the pool: clips of classes below the target in the ontology.
    """

    positives: LabelledBags
    pool: LabelledBags
    val: LabelledBags
    test: LabelledBags
    descendants: int = field(default=0, kw_only=True)

    @property
    def line(self) -> str:
        """The target class and the numbers of bags, for the log."""
        target = self.pool.instances.classes[int(self.pool.name.rpartition("class")[2])]
        fewer = f" ({self.descendants:,} of its descendants left out)" if self.descendants else ""
        return (
            f"class {target}: {len(self.positives):,} positive bags, a pool of {len(self.pool):,} "
            f"negative ones{fewer}, {len(self.val):,} to validate and {len(self.test):,} to test"
        )

    @property
    def dropped(self) -> list[str]:
        """What could not be decoded, each once: pool and test bags may be of one table."""
        return list(dict.fromkeys([*self.pool.instances.dropped, *self.test.instances.dropped]))


def split_bags(train: Instances, test: Instances, config: DataConfig) -> Split:
    """The bags for `config.target`. A stratified share of the training bags is set aside for validation. Bags
    and split depend on `config.bag_seed` only, so that all runs of a comparison use the same bags. Raises UnknownName
    for an unknown class, BadData for a class without instances, BadInput for too few bags of a kind.
    """
    target = class_number(config.target, train.classes)
    everything = _bags(train, target, config, "train")
    set_aside = _stratified(everything.label, config)
    rest = np.setdiff1d(np.arange(len(everything)), set_aside)
    training, val = everything.subset(rest), everything.subset(set_aside)
    _require_kinds(training, val)
    return Split(training.only(1), training.only(0), val, _bags(test, target, config, "test"))


def _bags(instances: Instances, target: int, config: DataConfig, name: str) -> BagSet:
    # Two seeds, so that training and test bags are not shuffled alike.
    seed = config.bag_seed * 2 + (name == "test")
    plan = plan_bags(instances.labels == target, config.bag_size, config.density, seed)
    number = np.arange(len(plan.label), dtype=np.int64)
    return BagSet(instances, plan.rows, plan.offsets, plan.label, f"{name}-class{target}", number)


def _stratified(label: Index, config: DataConfig) -> Index:
    random = generator(config.bag_seed, "validation")
    shuffled = [random.permutation(np.flatnonzero(label == kind)) for kind in (0, 1)]
    return np.sort(np.concatenate([bags[: max(1, round(len(bags) * config.val_share))] for bags in shuffled]))


def _require_kinds(training: BagSet, val: BagSet) -> None:
    for kind, word in ((1, "positive"), (0, "negative")):
        if not (training.label == kind).any() or not (val.label == kind).any():
            remedy = "give more instances, smaller bags (data.bag_size) or another data.val_share"
            raise BadInput(f"too few {word} bags to train and to validate on", f"at least two {word} bags", remedy)
