"""Images mirrored and shifted: as torch does it, drawn alike by workers and by resumed runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import pad

from negsift.common.data.bagset import BagBatch
from negsift.common.data.instances import Instances
from negsift.common.data.table.bags import open_positives
from negsift.common.data.table.build import build_table
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.table_set import TableSet
from negsift.common.errors import BadInput
from negsift.trainer.augment import augmented
from negsift.trainer.config import AugmentConfig
from negsift.trainer.image_augment import AugmentedImages, moved
from negsift.trainer.loader import BatchShare, EpochBatches, EpochSet, TrainingBatch
from tests.unit.toys import bag_set, stack_bags

BAGS = EpochSet(bag_set([3, 1, 2, 4, 2, 1, 3]), np.ones(7))
ORDER = np.array([6, 2, 0, 5, 3, 1, 4])


def batches(
    config: AugmentConfig, key: tuple[int, int] = (0, 0), share: BatchShare | None = None
) -> list[TrainingBatch]:
    return list(augmented(EpochBatches(BAGS, ORDER, 3, share or BatchShare()), config, key))


def pixels(batch: TrainingBatch) -> torch.Tensor:
    assert isinstance(batch.bags, BagBatch)
    return batch.bags.instances


@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-2, 2)])
@pytest.mark.parametrize("flipped", [False, True])
def test_an_image_is_moved_as_padding_and_cutting_would(shift: tuple[int, int], flipped: bool) -> None:
    image = torch.arange(2 * 5 * 6, dtype=torch.float32).reshape(1, 2, 5, 6)
    down, right = shift
    expected = pad(image, (2, 2, 2, 2), mode="reflect")[:, :, 2 - down : 7 - down, 2 - right : 8 - right]
    found = moved(image, np.array([shift]), np.array([flipped]))
    assert torch.equal(found, expected.flip(-1) if flipped else expected)


def test_about_half_of_the_images_are_mirrored_and_a_bag_is_shifted_as_one() -> None:
    whole = batches(AugmentConfig(flip=True))
    plain = batches(AugmentConfig())
    mirrored = [
        torch.equal(one, other.flip(-1))
        for made, given in zip(whole, plain, strict=True)
        for one, other in zip(pixels(made), pixels(given), strict=True)
    ]
    assert 3 <= sum(mirrored) <= 13
    shifted = batches(AugmentConfig(shift=2))
    assert not all(torch.equal(pixels(one), pixels(other)) for one, other in zip(shifted, plain, strict=True))


def test_draws_depend_on_seed_and_epoch_alone_and_workers_share_them() -> None:
    config = AugmentConfig(flip=True, shift=1)
    whole, again, other = (batches(config, key) for key in ((1, 2), (1, 2), (1, 3)))
    assert all(torch.equal(pixels(one), pixels(two)) for one, two in zip(whole, again, strict=True))
    assert not all(torch.equal(pixels(one), pixels(two)) for one, two in zip(whole, other, strict=True))
    for batch, *parts in zip(whole, *(batches(config, (1, 2), BatchShare(rank, 2)) for rank in range(2)), strict=True):
        real = [part for part in parts if part.weight.any()]
        assert torch.equal(torch.cat([pixels(part) for part in real]), pixels(batch))


def test_images_of_a_table_are_augmented_as_the_same_bags_in_memory(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(8):
        path = tmp_path / "photos" / "cat" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    build_table(tmp_path / "table", tmp_path / "photos", BuildConfig(bag_size=3, image_size=8))
    table = TableSet.of("cats", positive=open_positives(tmp_path / "table", "cat"))
    whole = table.gather(np.arange(3))
    assert isinstance(whole, BagBatch)
    assert sorted(whole.sizes) == [2, 3, 3]
    images = Instances(np.zeros(8, np.int64), ("cat",), in_memory=whole.instances.numpy())
    memory = stack_bags(images, np.split(np.arange(8), np.cumsum(whole.sizes)[:-1]), table.label, "cats")
    config, order = AugmentConfig(flip=True, shift=1), np.array([2, 0, 1])
    one, other = (
        list(augmented(EpochBatches(EpochSet(bags, np.ones(3)), order, 2), config, (0, 1))) for bags in (table, memory)
    )
    assert all(torch.equal(pixels(left), pixels(right)) for left, right in zip(one, other, strict=True))


def test_bags_that_are_no_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "features.csv").write_text("bag_id,label,a,b\n" + "".join(f"{n},cat,{n},1\n" for n in range(3)))
    build_table(tmp_path / "table", tmp_path / "features.csv", BuildConfig())
    features = EpochSet(TableSet.of("cats", positive=open_positives(tmp_path / "table", "cat")), np.ones(3))
    with pytest.raises(BadInput, match=r"augment.flip or .shift of bags that are not images"):
        next(iter(AugmentedImages(EpochBatches(features, np.arange(3), 3), AugmentConfig(flip=True), (0, 0))))
