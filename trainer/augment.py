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

from negsift.common.arrays import Floats, Index
from negsift.common.data.audio.logmel import log_mel, to_float
from negsift.common.data.audioset.clips import ClipSet
from negsift.common.errors import BadInput
from negsift.common.rng import generator, stream_key
from negsift.trainer.config import AugmentConfig
from negsift.trainer.loader import Batch, Batches


@dataclass(frozen=True)
class Mixture:
    """What becomes of every draw of an epoch: `share` (n,) of itself, the rest of clip `partner` (n,) of the set."""

    partner: Index
    share: Floats

    def take(self, places: slice | Index) -> "Mixture":
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


@dataclass(frozen=True)
class Augmented:
    """The batches of an epoch's clips, augmented; labels are shares of positiveness. `key` is (seed, epoch).

    Partners come from the epoch's own set, positives and chosen negatives: another clip of the pool
    would smuggle in a negative that was not selected. Going through bags that are no clips raises BadInput.
    """

    plain: Batches
    config: AugmentConfig
    key: tuple[int, int]

    def __len__(self) -> int:
        return len(self.plain)

    def __iter__(self) -> Iterator[Batch]:
        clips, order = self.plain.whole.bags, self.plain.order
        if not isinstance(clips, ClipSet):
            raise BadInput("augmentation of bags that are no clips", "clips", "leave --set augment alone")
        mixture = draw_mixture(order, len(clips), self.config, self.key)
        return (self._batch(clips, mixture, start) for start in self.plain.starts)

    def _batch(self, clips: ClipSet, mixture: Mixture, start: int) -> Batch:
        drawn = slice(start, start + self.plain.size)
        rows, mixed = self.plain.order[drawn], mixture.take(drawn)

        def part(places: Index) -> Batch:
            mine, blend = rows[places], mixed.take(places)
            feats_NTF = mix(clips, mine, blend)
            label = blend.share * clips.label[mine] + (1 - blend.share) * clips.label[blend.partner]
            weight = torch.from_numpy(self.plain.whole.weight[mine]).float()
            kept = self._kept(start, (len(rows), *feats_NTF.shape[1:]))[places]
            return Batch(torch.where(kept, feats_NTF, 0.0), torch.from_numpy(label).float(), weight)

        return self.plain.share.part(len(rows), part)

    def _kept(self, start: int, shape: tuple[int, ...]) -> Tensor:
        """What the masks of a whole batch leave, so that every share of it has its own part of the same draws."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_key(self.key[0], f"masks/{start}", self.key[1]) >> 1)
            return mask(torch.ones(shape), self.config) > 0


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
