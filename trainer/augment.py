"""Augmentation of clips in training: mixup of waveforms, then masks over stripes of time and frequency.

Both are PSLA's (arXiv 2102.01243, and its code) and come before normalisation; `image_augment` has that of images.
Random numbers are drawn for a whole epoch from (seed, epoch), or for a batch from (seed, epoch, start of the batch),
so that a resumed run draws the same. Scoring and evaluation use clips without augmentation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.transforms import FrequencyMasking, TimeMasking

from negsift.common.arrays import Floats, Index
from negsift.common.data.audio.decode import FULL_SCALE
from negsift.common.data.audio.logmel import log_mel
from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.protocols import LabelledBags
from negsift.common.errors import BadInput
from negsift.common.rng import generator, stream_key
from negsift.trainer.config import AugmentConfig
from negsift.trainer.image_augment import AugmentedImages, require_images
from negsift.trainer.learner import Batches
from negsift.trainer.loader import EpochBatches, TrainingBatch

_CPU = torch.device("cpu")


def augmented(
    batches: EpochBatches, config: AugmentConfig, key: tuple[int, int], device: torch.device = _CPU
) -> Batches:
    """The batches as `config` has them augmented, clips on `device`. `key` is (seed, epoch)."""
    if config.of_images:
        return AugmentedImages(batches, config, key)
    return AugmentedBatches(batches, config, key, device) if config.of_clips else batches


def require_augmentable(bags: LabelledBags, config: AugmentConfig) -> None:
    """Raise BadInput for bags, at least one, that `config` can't augment."""
    if config.of_images:
        require_images(bags.gather(np.zeros(1, dtype=np.int64)))
    if config.of_clips:
        _require_clips(bags)


def _require_clips(bags: LabelledBags) -> ClipSet:
    if not isinstance(bags, ClipSet):
        raise BadInput("augmentation of bags that are not clips", "clips", "leave augment unset")
    return bags


@dataclass(frozen=True)
class MixupDraws:
    """For every draw of an epoch its own `share` (n,), and the clip `partner` (n,) that the rest comes from."""

    partner: Index
    share: Floats


def draw_mixup(order: Index, size: int, config: AugmentConfig, key: tuple[int, int]) -> MixupDraws:
    """For each clip of `order`, with probability `mixup`, a partner among `size` clips. `key` is (seed, epoch).

    A clip that is not mixed has share 1 and itself as its partner.
    """
    random = generator(key[0], "mixup", key[1])
    mixed = random.random(len(order)) < config.mixup
    share = np.where(mixed, random.beta(config.mixup_alpha, config.mixup_alpha, len(order)), 1.0)
    partner = np.where(mixed, random.integers(0, size, len(order)), order).astype(np.int64)
    return MixupDraws(partner, share)


@dataclass(frozen=True)
class AugmentedBatches:
    """The `batches` of an epoch's clips, augmented on `device`; labels become floats. `key` is (seed, epoch).

    Partners come from the epoch's own set of positives and chosen negatives: any other clip of the pool would be a
    negative that was not selected. Iteration raises BadInput for bags that are not clips.
    """

    batches: EpochBatches
    config: AugmentConfig
    key: tuple[int, int]
    device: torch.device = _CPU

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[TrainingBatch]:
        clips, order = _require_clips(self.batches.epoch_set.bags), self.batches.order
        draws = draw_mixup(order, len(clips), self.config, self.key)
        return (self._batch(clips, draws, start) for start in self.batches.starts)

    def _batch(self, clips: ClipSet, draws: MixupDraws, start: int) -> TrainingBatch:
        size = min(self.batches.size, len(self.batches.order) - start)

        def part(places: Index) -> TrainingBatch:
            places_in_order = start + places
            rows = self.batches.order[places_in_order]
            mixup = MixupDraws(draws.partner[places_in_order], draws.share[places_in_order])
            feats_NTF = mix(clips, rows, mixup, self.device)
            label = mixup.share * clips.label[rows] + (1 - mixup.share) * clips.label[mixup.partner]
            weight = self.batches.epoch_set.weight[rows]
            bands, frames = (part[places].to(self.device) for part in self._unmasked(start, size, feats_NTF.shape))
            feats_NTF = torch.where(bands & frames, feats_NTF, 0.0)
            labels, weights = torch.from_numpy(label).float(), torch.from_numpy(weight).float()
            return TrainingBatch(feats_NTF, labels, weights, row=rows)

        return self.batches.share.part(size, part)

    def _unmasked(self, start: int, size: int, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """The bands (size, 1, mels) and frames (size, frames, 1) that the masks of a whole batch leave; each worker's
        share is a part of the same draws.
        """
        frames, mels = shape[1:]
        with torch.random.fork_rng(devices=[]):  # torchaudio draws from torch's global generator, that of the CPU
            torch.default_generator.manual_seed(stream_key(self.key[0], f"masks/{start}", self.key[1]) >> 1)
            of_bands = mask(torch.ones(size, 1, mels), replace(self.config, time_mask=0))
            of_frames = mask(torch.ones(size, frames, 1), replace(self.config, freq_mask=0))
        return of_bands > 0, of_frames > 0


def mix(clips: ClipSet, rows: Index, draws: MixupDraws, device: torch.device = _CPU) -> Tensor:
    """Log-mel (n, frames, mels) of λ x1 + (1 - λ) x2, of waveforms minus their means and shares λ; cached if λ is 1.
    It is computed on `device`.
    """
    feats_NTF = clips.gather(rows).to(device).float()
    mixed = np.flatnonzero(draws.share < 1)
    if len(mixed):
        share = torch.from_numpy(draws.share[mixed]).float()[:, None].to(device)
        waves = _centred(clips.waveforms(rows[mixed]), device) * share
        waves += _centred(clips.waveforms(draws.partner[mixed]), device) * (1 - share)
        feats_NTF[torch.from_numpy(mixed).to(device)] = log_mel(waves, clips.instances.store.config)
    return feats_NTF


def mask(feats_NTF: Tensor, config: AugmentConfig) -> Tensor:
    """torchaudio's SpecAugment: one stripe of each kind per clip, filled with 0 before normalisation, as in PSLA."""
    masked_NFT = feats_NTF.transpose(1, 2)
    if config.freq_mask:
        masked_NFT = FrequencyMasking(config.freq_mask, iid_masks=True)(masked_NFT)
    if config.time_mask:
        masked_NFT = TimeMasking(config.time_mask, iid_masks=True)(masked_NFT)
    return masked_NFT.transpose(1, 2)


def _centred(waves: NDArray[np.int16], device: torch.device) -> Tensor:
    floats = torch.from_numpy(waves).to(device).float() / FULL_SCALE
    return floats - floats.mean(1, keepdim=True)
