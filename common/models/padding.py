"""Pads ragged bags: from instances end to end (M, F) to bags side by side (N, n, F) with a mask."""

import numpy as np
import torch
from torch import Tensor

from negsift.common.arrays import Index


def pad_bags(values_MF: Tensor, sizes: Index) -> tuple[Tensor, Tensor]:
    """Bags (N, n, F), where n is the largest size, and the mask (N, n), 1.0 for real instances and 0.0 for padding.
    Bags of equal size are a view; smaller ones are padded with zeros, which every reader must mask.
    """
    longest = int(sizes.max()) if len(sizes) else 0
    if (sizes == longest).all():
        shaped = values_MF.reshape(len(sizes), longest, *values_MF.shape[1:])
        return shaped, torch.ones(shaped.shape[:2], dtype=values_MF.dtype, device=values_MF.device)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # The place of every instance among N·n: scatter once instead of copying bag by bag.
    place = torch.from_numpy(np.repeat(np.arange(len(sizes)) * longest, sizes) + within).to(values_MF.device)
    padded = values_MF.new_zeros(len(sizes) * longest, *values_MF.shape[1:]).index_copy(0, place, values_MF)
    mask = values_MF.new_zeros(len(sizes) * longest).index_fill(0, place, 1.0)
    return padded.view(len(sizes), longest, *values_MF.shape[1:]), mask.view(len(sizes), longest)
