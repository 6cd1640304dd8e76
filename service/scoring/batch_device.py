"""A batch on its way to the device that scores it, whatever form the user's `collate` gave it."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from negsift.common.data.bagset import BagBatch, Batch
from negsift.service.scoring.device_lanes import Lanes
from negsift.service.scoring.scoring_config import ScoringConfig


def to_device(batch: Batch, device: torch.device, config: ScoringConfig) -> Batch:
    """The batch with every tensor in it on `device`, in the configured layout; other values stay as they are."""
    placed: Batch = _placed(batch, lambda tensor: _laid_out(tensor.to(device), config), lambda own: own.to(device))
    return placed


def pinned(batch: Batch, pin: Callable[[Tensor], Tensor]) -> Batch:
    """The batch with every tensor in it as `pin` gives it; forms of other libraries stay as they are."""
    placed: Batch = _placed(batch, pin, lambda own: own)
    return placed


def uploaded(batch: Batch, lanes: Lanes, config: ScoringConfig) -> Batch:
    """As `to_device`, over the lanes to a device; forms of other libraries are copied while this thread waits."""
    placed: Batch = _placed(
        batch, lambda tensor: _laid_out(lanes.upload(tensor), config), lambda own: own.to(lanes.device)
    )
    return placed


def _placed(batch: Any, place: Callable[[Tensor], Tensor], move: Callable[[Any], Any]) -> Any:  # Any: the user's form
    """The batch with `place` of each tensor in it, and with `move` of what knows by itself how to move."""
    if isinstance(batch, Tensor):
        return place(batch)
    if isinstance(batch, BagBatch):
        return BagBatch(place(batch.instances), batch.sizes)
    if callable(getattr(batch, "to", None)):  # TensorDict, BatchEncoding, PackedSequence and others know how
        return move(batch)
    if isinstance(batch, (tuple, list)):
        parts = [_placed(part, place, move) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)  # _fields: a named tuple
    if isinstance(batch, Mapping):
        entries = copy.copy(batch) if isinstance(batch, MutableMapping) else {}
        entries.update({key: _placed(part, place, move) for key, part in batch.items()})
        return entries
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        changed = copy.copy(batch)
        for field in dataclasses.fields(batch):
            object.__setattr__(changed, field.name, _placed(getattr(batch, field.name), place, move))
        return changed
    return batch


def _laid_out(tensor: Tensor, config: ScoringConfig) -> Tensor:
    is_images = config.channels_last and tensor.ndim == 4
    return tensor.contiguous(memory_format=torch.channels_last) if is_images else tensor
