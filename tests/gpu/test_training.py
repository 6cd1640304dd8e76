"""On a GPU: training is near that of a CPU, in every precision, and clips are augmented there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.catalogue import load_split
from negsift.trainer.ahead import prepared_ahead
from negsift.trainer.augment import augmented
from negsift.trainer.config import AugmentConfig, TrainingConfig
from negsift.trainer.learner import Learner, pinned
from negsift.trainer.loader import EpochBatches, EpochSet
from tests.unit.clips import data, write_folder
from tests.unit.toys import bag_set, cnn

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]
BAGS = bag_set([3] * 64)


def batches() -> EpochBatches:
    return EpochBatches(EpochSet(BAGS, np.ones(len(BAGS))), np.arange(len(BAGS)), 16)


@pytest.mark.parametrize(
    ("change", "near"), [({}, 1e-3), ({"mixed_precision": True}, 3e-2), ({"compile": True}, 1e-3)], ids=str
)
def test_an_epoch_is_near_that_of_a_cpu(change: dict[str, bool], near: float) -> None:
    results = []
    for device, config in (("cpu", TrainingConfig()), ("cuda", TrainingConfig(**change))):  # type: ignore[arg-type]  # flags
        learner = Learner(cnn(), config, 0, device=torch.device(device))
        losses = [learner.train(batches(), epoch) for epoch in range(2)]
        results.append((losses, learner.score(BAGS)))
    (losses, scores), (found_losses, found_scores) = results
    np.testing.assert_allclose(found_losses, losses, rtol=near)
    np.testing.assert_allclose(found_scores, scores, atol=30 * near)


def test_batches_are_in_page_locked_memory() -> None:
    for batch in prepared_ahead(iter(batches()), pinned):
        assert batch.bags.instances.is_pinned()  # type: ignore[union-attr]  # images
        assert batch.label.is_pinned()


def test_clips_are_augmented_as_on_a_cpu(tmp_path: Path) -> None:
    split = load_split(data(write_folder(tmp_path, 20, 10)))
    clips = split.pool
    assert isinstance(clips, ClipSet)
    bags = EpochBatches(EpochSet(clips, np.ones(len(clips))), np.arange(len(clips)), 7)
    config = AugmentConfig(mixup=0.5, freq_mask=8, time_mask=32)
    on_cpu, on_gpu = (list(augmented(bags, config, (0, 0), torch.device(name))) for name in ("cpu", "cuda"))
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert isinstance(one.bags, Tensor)
        assert isinstance(other.bags, Tensor)
        assert other.bags.is_cuda
        torch.testing.assert_close(other.bags.cpu(), one.bags, rtol=1e-3, atol=2e-2)
        torch.testing.assert_close(other.label, one.label)
