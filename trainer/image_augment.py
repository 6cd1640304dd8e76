"""Augmentation of images in training: mirrored at random, one by one, and shifted, all of a bag alike.

Random numbers are drawn for a whole batch from (seed, epoch, start of the batch), so that a resumed run, and each of
several workers, draws the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch
from negsift.common.errors import BadInput
from negsift.common.rng import generator
from negsift.trainer.config import AugmentConfig
from negsift.trainer.loader import EpochBatches, TrainingBatch


@dataclass(frozen=True)
class AugmentedImages:
    """The `batches` of an epoch's bags of images, augmented. `key` is (seed, epoch). Raises BadInput for other bags."""

    batches: EpochBatches
    config: AugmentConfig
    key: tuple[int, int]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[TrainingBatch]:
        return (self._batch(start) for start in self.batches.starts)

    def _batch(self, start: int) -> TrainingBatch:
        rows = self.batches.order[start : start + self.batches.size]
        whole = self.batches.epoch_set.batch(rows)  # for each of several workers: draws go by the longest of all bags
        bags = require_images(whole.bags)
        sizes = bags.sizes
        random = generator(self.key[0], f"images/{start}", self.key[1])
        flipped = random.random((len(rows), int(sizes.max()))) < (0.5 if self.config.flip else 0.0)
        shifts = random.integers(-self.config.shift, self.config.shift + 1, (len(rows), 2))
        ends = np.cumsum(sizes)

        def part(places: Index) -> TrainingBatch:
            few, own = slice(places[0], places[-1] + 1), sizes[places]
            images = bags.instances[ends[few.start] - sizes[few.start] : ends[few.stop - 1]]
            each = np.repeat(places, own), np.concatenate([np.arange(size) for size in own])
            batch = BagBatch(moved(images, shifts[each[0]], flipped[each]), own)
            offset = None if whole.offset is None else whole.offset[few]
            return TrainingBatch(batch, whole.label[few], whole.weight[few], row=rows[few], offset=offset)

        return self.batches.share.part(len(rows), part)


def require_images(batch: BagBatch | Tensor) -> BagBatch:
    """The batch, if it is one of images. Raises BadInput for other bags."""
    if not isinstance(batch, BagBatch) or batch.instances.ndim != 4:
        raise BadInput("augment.flip or .shift of bags that are not images", "images (C, H, W)", "leave both alone")
    return batch


def moved(images: Tensor, shifts: Index, flipped: Index) -> Tensor:
    """Images (M, C, H, W) shifted by (rows, columns), (M, 2), reflected at the edges; mirrored where `flipped` (M,)."""
    furthest = int(np.abs(shifts).max(initial=0))
    if furthest:
        edges = (furthest, furthest)
        padded = np.pad(images.numpy(), ((0, 0), (0, 0), edges, edges), mode="reflect")
        windows = sliding_window_view(padded, images.shape[2:], axis=(2, 3))
        rows, columns = (furthest - shifts).T
        images = torch.from_numpy(windows[np.arange(len(images)), :, rows, columns])
    return torch.where(torch.from_numpy(flipped)[:, None, None, None], images.flip(-1), images)
