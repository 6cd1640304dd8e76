"""A batch on the device that scores it, whatever form the user's `collate` gave it."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from negsift.common.data.bagset import BagBatch, Batch
from negsift.service.scoring.scoring_config import ScoringConfig


def to_device(batch: Batch, device: torch.device, config: ScoringConfig) -> Batch:
    """The batch with every tensor in it on `device`, in the configured layout; other values stay as they are."""
    placed: Batch = _placed(batch, lambda tensor: _tensor_to_device(tensor, device, config), device)
    return placed


def _placed(batch: Any, place: Callable[[Tensor], Tensor], device: torch.device) -> Any:  # Any: the user's own form
    if isinstance(batch, Tensor):
        return place(batch)
    if isinstance(batch, BagBatch):
        return BagBatch(place(batch.instances), batch.sizes)
    if callable(getattr(batch, "to", None)):  # TensorDict, BatchEncoding, PackedSequence and others know how
        return batch.to(device)
    if isinstance(batch, (tuple, list)):
        parts = [_placed(part, place, device) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)  # _fields: a named tuple
    if isinstance(batch, Mapping):
        entries = copy.copy(batch) if isinstance(batch, MutableMapping) else {}
        entries.update({key: _placed(part, place, device) for key, part in batch.items()})
        return entries
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        changed = copy.copy(batch)
        for field in dataclasses.fields(batch):
            object.__setattr__(changed, field.name, _placed(getattr(batch, field.name), place, device))
        return changed
    return batch


def _with_entries(
    batch: MutableMapping[Any, Any], entries: Mapping[Any, Any]
) -> MutableMapping[Any, Any]:  # Any: as above
    """A mapping of the batch's type with other values."""
    changed = copy.copy(batch)
    changed.update(entries)
    return changed


def _tensor_to_device(tensor: Tensor, device: torch.device, config: ScoringConfig) -> Tensor:
    pinned = config.pinned and device.type == "cuda"
    moved = (tensor.pin_memory() if pinned else tensor).to(device, non_blocking=True)
    is_images = config.channels_last and moved.ndim == 4
    return moved.contiguous(memory_format=torch.channels_last) if is_images else moved
