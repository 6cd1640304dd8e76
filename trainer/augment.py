"""Augmentation of clips in training: waveforms mixed in pairs, and stripes of time and frequency masked.

Mixup and masks are PSLA's (arXiv 2102.01243, and its code), in that order, before normalisation. Every
number is drawn for a whole epoch from (seed, epoch), or for a batch from (seed, epoch, its start), so
that a resumed run draws the same. Scoring and evaluation never come here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.transforms import FrequencyMasking, TimeMasking

from common.config import knob
from common.data.audio.logmel import log_mel, to_float
from common.data.audioset.clips import ClipSet
from common.errors import BadInput
from common.knobs import check_knobs
from common.rng import generator, stream_key
from common.types import Floats, Index
from trainer.loader import Batch, EpochSet


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to clips in training; all off by default."""

    mixup: float = knob(0.0, "share of clips that are mixed with another of the epoch's; clips only", least=0)
    mixup_alpha: float = knob(10.0, "shares are drawn from Beta(alpha, alpha)", above=0)
    freq_mask: int = knob(0, "mel bands masked at most, once a clip; clips only", least=0)
    time_mask: int = knob(0, "frames masked at most, once a clip; clips only", least=0)

    def __post_init__(self) -> None:
        check_knobs(self, "augment")
        if self.mixup > 1:
            raise BadInput(f"augment.mixup={self.mixup}", "a share between 0 and 1", "correct --set augment.mixup")

    @property
    def wanted(self) -> bool:
        """Whether anything is to be done."""
        return self.mixup > 0 or self.freq_mask > 0 or self.time_mask > 0


@dataclass(frozen=True)
class Mixture:
    """What becomes of every draw of an epoch: `share` (n,) of itself, the rest of clip `partner` (n,) of the set."""

    partner: Index
    share: Floats

    def take(self, places: slice) -> "Mixture":
        """Some draws."""
        return Mixture(self.partner[places], self.share[places])


def draw_mixture(order: Index, size: int, config: AugmentConfig, key: tuple[int, int]) -> Mixture:
    """For each draw of `order` from a set of `size` clips, with probability `mixup`, a partner from the set.

    `key` is (seed, epoch). A clip that is not mixed has share 1 and itself as its partner.
    """
    random = generator(key[0], "mixup", key[1])
    mixed = random.random(len(order)) < config.mixup
    share = random.beta(config.mixup_alpha, config.mixup_alpha, len(order))
    partner = random.integers(0, size, len(order))
    return Mixture(np.where(mixed, partner, order).astype(np.int64), np.where(mixed, share, 1.0))


def augmented(bags: EpochSet, order: Index, size: int, config: AugmentConfig, key: tuple[int, int]) -> Iterator[Batch]:
    """The batches of an epoch's clips, augmented; labels are shares of positiveness.

    Partners come from the epoch's own set, positives and chosen negatives: another clip of the pool
    would smuggle in a negative that was not selected. Raises BadInput for bags that are no clips.
    """
    clips = bags.bags
    if not isinstance(clips, ClipSet):
        raise BadInput("augmentation of bags that are no clips", "clips", "leave --set augment alone")
    mixture = draw_mixture(order, len(clips), config, key)
    for start in range(0, len(order), size):
        rows, mixed = order[start : start + size], mixture.take(slice(start, start + size))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_key(key[0], f"masks/{start}", key[1]) >> 1)
            feats_NTF = mask(mix(clips, rows, mixed), config)
        label = mixed.share * clips.label[rows] + (1 - mixed.share) * clips.label[mixed.partner]
        yield Batch(feats_NTF, torch.from_numpy(label).float(), torch.from_numpy(bags.weight[rows]).float())


def mix(clips: ClipSet, rows: Index, mixture: Mixture) -> Tensor:
    """Log-mel (n, frames, mels) of λ x1 + (1 - λ) x2, x1 and x2 being waveforms without their means.

    Where λ is 1 the cached features are taken as they are.
    """
    feats_NTF = clips.gather(rows).float()
    mixed = np.flatnonzero(mixture.share < 1)
    if len(mixed):
        share = torch.from_numpy(mixture.share[mixed]).float()[:, None]
        waves = _centred(clips.waveforms(rows[mixed])) * share
        waves += _centred(clips.waveforms(mixture.partner[mixed])) * (1 - share)
        feats_NTF[torch.from_numpy(mixed)] = log_mel(waves, clips.instances.store.config)
    return feats_NTF


def mask(feats_NTF: Tensor, config: AugmentConfig) -> Tensor:
    """SpecAugment by torchaudio, one stripe of each kind a clip, filled with 0 before normalisation, as in PSLA."""
    feats_NFT = feats_NTF.transpose(1, 2)
    if config.freq_mask:
        feats_NFT = FrequencyMasking(config.freq_mask, iid_masks=True)(feats_NFT)
    if config.time_mask:
        feats_NFT = TimeMasking(config.time_mask, iid_masks=True)(feats_NFT)
    masked: Tensor = feats_NFT.transpose(1, 2)
    return masked


def _centred(waves: NDArray[np.int16]) -> Tensor:
    floats = to_float(waves)
    return floats - floats.mean(1, keepdim=True)
