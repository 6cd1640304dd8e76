"""Images mirrored and shifted: as torch does it, drawn alike by workers and by resumed runs."""

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from negsift.common.data.bagset import BagBatch
from negsift.common.errors import BadInput
from negsift.trainer.augment import augmented
from negsift.trainer.config import AugmentConfig
from negsift.trainer.image_augment import AugmentedImages, moved
from negsift.trainer.loader import BatchShare, EpochBatches, EpochSet, TrainingBatch
from tests.unit.toys import bag_set

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


def test_bags_that_are_no_images_are_refused() -> None:
    with pytest.raises(BadInput, match="augment.flip or .shift of bags that are not images"):
        next(iter(AugmentedImages(EpochBatches(EpochSet([], np.ones(0)), ORDER, 3), AugmentConfig(flip=True), (0, 0))))
