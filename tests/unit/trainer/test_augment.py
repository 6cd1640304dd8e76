"""Mixup and masks against straightforward references, and their random numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from torch import Tensor

from negsift.common.data.audio.logmel import log_mel
from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.catalogue import load_split
from negsift.common.errors import BadInput
from negsift.trainer.augment import AugmentedBatches, MixupDraws, augmented, draw_mixup, mask, mix
from negsift.trainer.config import AugmentConfig
from negsift.trainer.loader import EpochBatches, EpochSet, TrainingBatch
from tests.unit.clips import SMALL, data, write_folder
from tests.unit.fake_gpu import GPU, fake_gpu
from tests.unit.toys import bag_set

MIXUP = AugmentConfig(mixup=0.5)
BOTH = AugmentConfig(mixup=0.5, freq_mask=8, time_mask=32)
PSLA_MASKS = AugmentConfig(freq_mask=48, time_mask=192)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    split = load_split(data(write_folder(tmp_path_factory.mktemp("audioset"), 30, 10)))
    assert isinstance(split.positives, ClipSet)
    assert isinstance(split.pool, ClipSet)
    return split.positives.joined(split.pool)


def epoch(
    clips: ClipSet, config: AugmentConfig = BOTH, key: tuple[int, int] = (0, 0), size: int = 7
) -> list[TrainingBatch]:
    bags = EpochSet(clips, np.linspace(1, 2, len(clips)))
    return list(AugmentedBatches(EpochBatches(bags, np.arange(len(clips))[::-1].copy(), size), config, key))


def masked_stripe(row: np.ndarray) -> tuple[int, int]:
    """Where the zeros of a row lie, as start and length; they must be one stripe."""
    zeros = np.flatnonzero(row)
    assert len(zeros) == 0 or zeros[-1] - zeros[0] + 1 == len(zeros)
    return (int(zeros[0]) if len(zeros) else 0), len(zeros)


def test_mixtures_are_those_of_a_loop(clips: ClipSet) -> None:
    rows, mixture = np.array([3, 0, 5]), MixupDraws(np.array([4, 0, 9]), np.array([0.3, 1.0, 0.6]))
    feats = mix(clips, rows, mixture)
    for place, (row, partner, share) in enumerate(zip(rows, mixture.partner, mixture.share, strict=True)):
        one, other = (clips.waveforms(np.array([which]))[0] / 32768 for which in (row, partner))
        wave = share * (one - one.mean()) + (1 - share) * (other - other.mean())
        expected = log_mel(torch.from_numpy((wave - wave.mean())[None]).float(), SMALL)[0]
        torch.testing.assert_close(feats[place], expected, rtol=2e-3, atol=5e-3)


def test_clips_that_are_not_mixed_are_the_cached_ones(clips: ClipSet) -> None:
    rows = np.arange(5)
    feats = mix(clips, rows, MixupDraws(rows, np.ones(5)))
    np.testing.assert_array_equal(feats, clips.gather(rows).float())


def test_half_of_the_clips_are_mixed_in_beta_shares() -> None:
    order = np.arange(4000)
    mixture = draw_mixup(order, 50, MIXUP, (0, 0))
    mixed = mixture.share < 1
    assert abs(mixed.mean() - 0.5) < 0.03
    np.testing.assert_array_equal(mixture.partner[~mixed], order[~mixed])
    assert set(mixture.partner[mixed]) == set(range(50))
    assert kstest(mixture.share[mixed], beta(10, 10).cdf).pvalue > 0.01


def test_labels_are_mixed_as_the_waveforms_are(clips: ClipSet) -> None:
    order = np.arange(len(clips))[::-1]
    mixture = draw_mixup(order, len(clips), BOTH, (0, 0))
    expected = [
        share * clips.label[row] + (1 - share) * clips.label[partner]
        for row, partner, share in zip(order, mixture.partner, mixture.share, strict=True)
    ]
    labels = torch.cat([batch.label for batch in epoch(clips)])
    np.testing.assert_allclose(labels.numpy(), expected, rtol=1e-6)
    assert 0 < float(labels.min() + labels.max()) <= 1.0


def test_clips_are_augmented_on_the_device_that_trains(clips: ClipSet) -> None:
    bags = EpochBatches(EpochSet(clips, np.ones(len(clips))), np.arange(len(clips)), 7)
    with fake_gpu():
        batches = list(augmented(bags, BOTH, (0, 0), GPU))
    assert {batch.bags.device for batch in batches if isinstance(batch.bags, Tensor)} == {GPU}
    assert {tuple(batch.bags.shape[1:]) for batch in batches if isinstance(batch.bags, Tensor)} == {
        (SMALL.frames, SMALL.mels)
    }
    assert len(batches) == len(bags)


def test_weights_are_those_of_the_first_clip(clips: ClipSet) -> None:
    weights = torch.cat([batch.weight for batch in epoch(clips)])
    np.testing.assert_allclose(weights.numpy(), np.linspace(2, 1, len(clips)), rtol=1e-6)


def test_each_clip_has_one_mask_of_each_kind_of_pslas_widths() -> None:
    torch.manual_seed(0)
    masked = mask(torch.full((120, 1056, 128), -3.0), PSLA_MASKS).numpy() == 0
    times = np.array([masked_stripe(clip.all(1)) for clip in masked])
    bands = np.array([masked_stripe(clip.all(0)) for clip in masked])
    assert times[:, 1].min() < 8
    assert times[:, 1].max() in range(170, 192)
    assert bands[:, 1].max() in range(42, 48)
    assert (times.sum(1).max() <= 1056, bands.sum(1).max() <= 128) == (True, True)
    assert len(np.unique(times[:, 0])) > 80
    whole = np.array([clip.all(1)[:, None] | clip.all(0)[None] for clip in masked])
    np.testing.assert_array_equal(masked, whole)


def test_masks_are_those_of_the_definition() -> None:
    """f ~ U(0, F), start ~ U(0, 128 - f), both rounded down; the same draws, a clip at a time."""
    feats = torch.randn(6, 100, 40)
    torch.manual_seed(3)
    masked = mask(feats, AugmentConfig(freq_mask=20, time_mask=50))
    torch.manual_seed(3)
    expected = feats.clone()
    for axis, most in ((2, 20), (1, 50)):
        width, start = torch.rand(6) * most, torch.rand(6)
        for clip in range(6):
            first = int(start[clip] * (feats.shape[axis] - width[clip]))
            expected[clip].narrow(axis - 1, first, int(width[clip])).zero_()
    torch.testing.assert_close(masked, expected, rtol=0, atol=0)


def test_an_epoch_is_a_function_of_seed_and_epoch_alone(clips: ClipSet) -> None:
    def whole(key: tuple[int, int]) -> Tensor:
        return torch.cat([torch.as_tensor(batch.bags) for batch in epoch(clips, key=key)])

    one = whole((1, 2))
    torch.manual_seed(99)
    torch.testing.assert_close(whole((1, 2)), one, rtol=0, atol=0)
    assert not torch.equal(whole((1, 3)), one)
    assert not torch.equal(whole((2, 2)), one)


def test_augmentation_leaves_global_state_and_cache_alone(clips: ClipSet) -> None:
    before, clean = torch.get_rng_state(), clips.gather(np.arange(len(clips))).clone()
    epoch(clips)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(clips.gather(np.arange(len(clips))), clean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mixup": 1.5}, "augment.mixup=1.5; expected a share between 0 and 1"),
        ({"mixup_alpha": 0.0}, "augment.mixup_alpha=0.0; expected a number above 0"),
        ({"time_mask": -1}, "augment.time_mask=-1; expected 0 or more"),
    ],
)
def test_unusable_settings_are_reported(change: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        replace(BOTH, **change)


def test_bags_other_than_clips_are_reported() -> None:
    with pytest.raises(BadInput, match="augmentation of bags that are not clips"):
        list(AugmentedBatches(EpochBatches(EpochSet(bag_set([2, 2]), np.ones(2)), np.arange(2), 2), BOTH, (0, 0)))


def test_nothing_is_augmented_by_default() -> None:
    assert not AugmentConfig().of_clips
    assert all(config.of_clips for config in (MIXUP, AugmentConfig(freq_mask=1), AugmentConfig(time_mask=1)))
