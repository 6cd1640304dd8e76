"""Batches divided among workers: together they are the whole batch, in their bags, losses and gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.catalogue import load_split
from negsift.common.errors import BadInput
from negsift.deploy.workers import worker_needs
from negsift.service.config import FleetConfig
from negsift.trainer.augment import AugmentedBatches
from negsift.trainer.config import AugmentConfig, TrainingConfig
from negsift.trainer.learner import Learner
from negsift.trainer.loader import BatchShare, EpochBatches, EpochSet
from tests.unit.clips import data, write_folder
from tests.unit.toys import bag_set, cnn

BAGS = EpochSet(replace(bag_set([1, 2, 3, 1, 2, 3, 1]), label=np.arange(7) % 2), np.linspace(0.5, 2.0, 7))
ORDER = np.array([3, 0, 6, 2, 5, 1, 4])


def trained(share: BatchShare, size: int) -> tuple[dict[str, torch.Tensor], float]:
    """What a worker adds to the first batch's gradients, and its mean loss of all of them."""
    learner = Learner(cnn(), TrainingConfig(lr=1e-12), 0)
    batches = list(EpochBatches(BAGS, ORDER, size, share))
    learner.train(batches[:1], 0)
    gradients = {name: value.grad.clone() for name, value in learner.model.named_parameters() if value.grad is not None}
    return gradients, learner.train(batches, 0)


@pytest.mark.parametrize(("workers", "size"), [(2, 7), (2, 3), (3, 4), (5, 2), (4, 1)])
def test_workers_gradients_and_losses_average_to_the_batchs(workers: int, size: int) -> None:
    whole, loss = trained(BatchShare(), size)
    parts = [trained(BatchShare(rank, workers), size) for rank in range(workers)]
    for name, value in whole.items():
        mean = torch.stack([gradients[name] for gradients, _ in parts]).mean(0)
        torch.testing.assert_close(mean, value, rtol=1e-4, atol=1e-6)
    assert np.mean([loss_of_part for _, loss_of_part in parts]) == pytest.approx(loss, rel=1e-5)


def test_augmented_batches_are_divided_as_they_would_be_whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    split = load_split(data(write_folder(tmp_path_factory.mktemp("audioset"), 20, 6)))
    assert isinstance(split.positives, ClipSet)
    assert isinstance(split.pool, ClipSet)
    clips = split.positives.joined(split.pool)
    bags, order = EpochSet(clips, np.ones(len(clips))), np.arange(len(clips))[::-1].copy()
    config = AugmentConfig(mixup=0.5, freq_mask=8, time_mask=32)
    whole, *parts = (
        list(AugmentedBatches(EpochBatches(bags, order, 6, share), config, (1, 2)))
        for share in (BatchShare(), BatchShare(0, 2), BatchShare(1, 2))
    )
    for batch, *shares in zip(whole, *parts, strict=True):
        divided_bags = torch.cat([torch.as_tensor(part.bags) for part in shares])
        torch.testing.assert_close(divided_bags, torch.as_tensor(batch.bags), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(torch.cat([part.label for part in shares]), batch.label, rtol=0, atol=0)


def test_scorers_in_this_process_are_not_for_several_workers() -> None:
    local = FleetConfig(kind="local")
    assert not worker_needs(1, local)
    with pytest.raises(BadInput, match=r"fleet.kind=local with training.workers=2; .*set fleet.kind=ray"):
        worker_needs(2, local)
    with pytest.raises(BadInput, match=r"training.workers=0; expected 1 or more"):
        TrainingConfig(workers=0)
