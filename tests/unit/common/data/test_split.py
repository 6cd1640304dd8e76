"""Train, validation and test bags: nothing shared, validation first and stratified."""

import itertools

import numpy as np
import pytest

from negsift.common.data.bagset import BagSet
from negsift.common.data.catalogue import LOADERS, load_split
from negsift.common.data.class_names import class_number
from negsift.common.data.config import DataConfig
from negsift.common.data.instances import Instances
from negsift.common.data.split import Split, split_bags
from negsift.common.errors import BadData, BadInput, UnknownName
from tests.unit.toys import images

CLASSES = ("cat", "dog", "cow", "ant")


def table(count: int, seed: int) -> Instances:
    found = images(count, seed, (1, 1, 1))
    return Instances(np.arange(count) % len(CLASSES), CLASSES, in_memory=found.images)


def split(**settings: object) -> Split:
    return split_bags(table(800, 0), table(400, 1), DataConfig(**settings))  # type: ignore[arg-type]  # fields


def parts(found: Split) -> list[BagSet]:
    return [found.positives, found.pool, found.val, found.test]


@pytest.mark.parametrize("density", ["uniform", "natural", "fixed:2"])
def test_no_instance_is_in_two_parts(density: str) -> None:
    train = parts(split(density=density))[:3]
    rows = np.concatenate([bags.rows for bags in train])
    assert sorted(rows.tolist()) == list(range(800))


def test_test_bags_hold_test_images_only() -> None:
    found = split()
    assert found.test.instances is not found.pool.instances
    assert sorted(found.test.rows.tolist()) == list(range(400))


def test_no_bag_id_is_in_two_parts() -> None:
    names = [bags.bag_id(np.arange(len(bags))) for bags in parts(split())]
    assert len(set(itertools.chain(*names))) == sum(map(len, names))


def test_positives_and_pool_are_what_they_are_called() -> None:
    found = split()
    assert set(found.positives.label) == {1}
    assert set(found.pool.label) == {0}


@pytest.mark.parametrize("bags", ["positives", "pool", "val", "test"])
def test_labels_say_whether_a_bag_holds_the_target(bags: str) -> None:
    part: BagSet = getattr(split(target="cow"), bags)
    expected = [
        int(any(part.instances.labels[row] == 2 for row in part.rows[low:high]))
        for low, high in zip(part.offsets, part.offsets[1:], strict=False)
    ]
    assert part.label.tolist() == expected


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_validation_takes_the_same_share_of_both_kinds(share: float) -> None:
    found = split(val_share=share)
    kept = {1: len(found.positives), 0: len(found.pool)}
    for kind, rest in kept.items():
        held = int((found.val.label == kind).sum())
        assert abs(held - share * (held + rest)) <= 0.5


def test_split_depends_on_the_bag_seed_alone() -> None:
    one, again, other = (split(bag_seed=seed) for seed in (1, 1, 2))
    assert [bags.rows.tolist() for bags in parts(one)] == [bags.rows.tolist() for bags in parts(again)]
    assert one.val.rows.tolist() != other.val.rows.tolist()


def test_test_bags_differ_from_the_training_bags() -> None:
    same = table(400, 0)
    found = split_bags(same, same, DataConfig())
    train = {tuple(bags.rows_of(np.array([b]))) for bags in parts(found)[:3] for b in range(len(bags))}
    test = {tuple(found.test.rows_of(np.array([b]))) for b in range(len(found.test))}
    assert not train & test


@pytest.mark.parametrize(("target", "number"), [("cat", 0), ("ant", 3), ("0", 0), ("3", 3)])
def test_class_is_meant_by_name_or_number(target: str, number: int) -> None:
    assert class_number(target, CLASSES) == number


@pytest.mark.parametrize("target", ["dgo", "4", "-1", "²"])
def test_unknown_class_lists_the_classes(target: str) -> None:
    with pytest.raises(UnknownName, match=r"data.target .*ant, cat, cow, dog"):
        class_number(target, CLASSES)


def test_no_class_is_not_the_first_class() -> None:
    with pytest.raises(BadInput, match=r"no data.target; expected one of .*; say which class is positive"):
        class_number("", CLASSES)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_validation_share_out_of_range_is_bad_input(share: float) -> None:
    with pytest.raises(BadInput, match=r"data\.val_share.*a number above 0 and below 1"):
        split(val_share=share)


def test_too_few_positive_bags_to_divide_is_bad_input() -> None:
    rare = Instances(np.array([1] + [0] * 99), ("no", "yes"), in_memory=images(100, 0, (1, 1, 1)).images)
    with pytest.raises(BadInput, match="too few positive bags"):
        split_bags(rare, rare, DataConfig(target="yes", density="fixed:1"))


def test_target_missing_from_the_test_images_is_bad_data() -> None:
    lacking = Instances(np.zeros(50, dtype=np.int64), CLASSES, in_memory=images(50, 0, (1, 1, 1)).images)
    with pytest.raises(BadData, match="no positive instance"):
        split_bags(table(400, 0), lacking, DataConfig(target="dog"))


def test_digits_are_1198_and_599_images_of_ten_classes() -> None:
    train, test = LOADERS["digits"](DataConfig(image_size=16))
    assert (train.images.shape, test.images.shape) == ((1198, 1, 16, 16), (599, 1, 16, 16))
    assert train.classes == tuple("0123456789")
    assert train.images.max() == 255


def test_digits_make_a_split_with_every_part() -> None:
    found = load_split(DataConfig(target="3"))
    assert all(len(bags) for bags in parts(found))


def test_unknown_dataset_lists_the_datasets() -> None:
    with pytest.raises(UnknownName, match=r"dataset 'digit'.*cifar10, digits, .*did you mean 'digits'"):
        load_split(DataConfig(name="digit"))
