"""What a selection was made from besides data and settings: weights, and the sampler's state; kept, and as digests."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from negsift.common.overrides import flat
from negsift.common.weights import take_snapshot
from negsift.trainer.folder import Json


@dataclass(frozen=True)
class SelectionInputs:
    """The selection for `epoch` was made with `weights`, those of epoch `version`.

    `asked` is the sampler's state when the selection was asked for, `answered` the one before the answer: with a
    staleness, other selections come between, whose scores `rescore` keeps.
    """

    epoch: int
    version: int
    weights: Mapping[str, Tensor]
    asked: Json
    answered: Json

    def digests(self) -> Json:
        """Epoch, version, and the digests of weights and states. Raises BadWeights if the weights are not finite."""
        weights = take_snapshot(self.weights, self.version).digest
        state = state_digest({"asked": self.asked, "answered": self.answered})
        return {"epoch": self.epoch, "version": self.version, "weights": weights, "state": state}

    def state(self) -> Json:
        """All of it as tensors, numbers and dicts."""
        states = {"asked": as_tensors(self.asked), "answered": as_tensors(self.answered)}
        return {"epoch": self.epoch, "version": self.version, "weights": dict(self.weights), **states}

    @classmethod
    def from_state(cls, state: Json) -> Self:
        """The inputs that `state` wrote. Raises LookupError, TypeError or AttributeError for others."""
        asked, answered = as_arrays(state["asked"]), as_arrays(state["answered"])
        return cls(state["epoch"], state["version"], state["weights"], asked, answered)


def copied(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights as they are now, on the CPU; training changes them in place."""
    return {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}


def state_digest(state: Json) -> str:
    """A hash of nested dicts of numbers, tensors and arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for key, value in sorted(flat(state).items()):
        array = np.asarray(value) if isinstance(value, np.ndarray | Tensor) else None
        content = value if array is None else f"{array.dtype}{array.shape}"
        digest.update(f"{key}={content};".encode())
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def as_tensors(state: Json) -> Json:
    """A sampler's state with a tensor in place of each array. It is a copy, since arrays from Ray are read-only."""
    return _mapped(state, lambda value: torch.tensor(value) if isinstance(value, np.ndarray) else value)


def as_arrays(state: Json) -> Json:
    """The inverse of `as_tensors`."""
    return _mapped(state, lambda value: value.numpy() if isinstance(value, Tensor) else value)


def _mapped(state: Json, convert: Callable[[Any], Any]) -> Json:  # Any: as in Json
    items = state.items()
    return {name: _mapped(value, convert) if isinstance(value, dict) else convert(value) for name, value in items}
