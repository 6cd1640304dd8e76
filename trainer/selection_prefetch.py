"""Selections asked for ahead of their epoch, with the weights there are by then: the trainer never waits.

With a staleness of n the selection for an epoch runs on the weights of n epochs before (the first ones on
those of epoch 0), while the epochs in between train.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from negsift.common.protocols import Pending, Sampler
from negsift.common.types import Selection
from negsift.trainer.config import SamplingConfig
from negsift.trainer.folder import Json


@dataclass(frozen=True)
class PrefetchedSelection:
    """A selection under way for `epoch`, and all that it takes to ask for it again in another process.

    `version` says after how many epochs `weights` were taken, `state` is the sampler's by then.
    """

    epoch: int
    version: int
    weights: Mapping[str, Tensor]
    state: Json
    pending: Pending


class SelectionPrefetch:
    """The selections under way."""

    def __init__(self, sampler: Sampler, config: SamplingConfig, epochs: int) -> None:
        self._sampler, self._config, self._epochs = sampler, config, epochs
        self._asked: dict[int, PrefetchedSelection] = {}

    def choose(self, epoch: int, weights: Mapping[str, Tensor]) -> Selection:
        """The selection for `epoch`: the one under way, else one with `weights`; waits for it."""
        if epoch not in self._asked:
            return self._sampler.select(weights, epoch)
        return self._asked.pop(epoch).pending.result()

    def ask(self, epoch: int, weights: Mapping[str, Tensor]) -> None:
        """Start what later epochs need and `weights`, those of `epoch`, may give; it doesn't wait."""
        last = min(epoch + self._config.staleness, self._epochs - 1)
        missing = [later for later in range(epoch + 1, last + 1) if self._wanted(later)]
        held = {name: value.detach().clone() for name, value in weights.items()} if missing else {}
        for later in missing:
            self._start(later, epoch, held)

    def state(self) -> Sequence[Json]:
        """What is under way, as tensors and numbers."""
        return [
            {"epoch": one.epoch, "version": one.version, "weights": dict(one.weights), "sampler": as_tensors(one.state)}
            for one in self._asked.values()
        ]

    def resume(self, state: Sequence[Json]) -> None:
        """Ask again for what was under way."""
        for one in state:
            self._sampler.load_state_dict(as_arrays(one["sampler"]))
            self._start(one["epoch"], one["version"], one["weights"])

    def _wanted(self, epoch: int) -> bool:
        return epoch % self._config.every == 0 and epoch not in self._asked

    def _start(self, epoch: int, version: int, weights: Mapping[str, Tensor]) -> None:
        state = self._sampler.state_dict()
        pending = self._sampler.submit(weights, epoch, version)
        self._asked[epoch] = PrefetchedSelection(epoch, version, weights, state, pending)


def as_tensors(state: Json) -> Json:
    """A sampler's state with a tensor for each array: a copy, for what came from Ray can't be written."""
    return {name: _as_tensor(value) for name, value in state.items()}


def as_arrays(state: Json) -> Json:
    """The state that `as_tensors` was given."""
    return {name: _as_array(value) for name, value in state.items()}


def _as_tensor(value: Any) -> Any:  # Any: as in Json
    if isinstance(value, dict):
        return as_tensors(value)
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


def _as_array(value: Any) -> Any:  # Any: as in Json
    if isinstance(value, dict):
        return as_arrays(value)
    return value.numpy() if isinstance(value, Tensor) else value
