"""Requests selections before their epoch, so that the trainer does not wait for them.

With a staleness of n, the selection for epoch e is scored with the weights of epoch e - n (the first ones with those
of epoch 0), while the epochs in between train.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from negsift.common.protocols import Pending, Sampler
from negsift.common.types import Selection
from negsift.trainer.config import SamplingConfig
from negsift.trainer.folder import Json
from negsift.trainer.selection_inputs import SelectionInputs, as_arrays, as_tensors, copied


@dataclass(frozen=True)
class PrefetchedSelection:
    """A pending selection for `epoch`, and what is needed to request it again in another process.

    `version` is the epoch of `weights`; `state` is the sampler's state before the request.
    """

    epoch: int
    version: int
    weights: Mapping[str, Tensor]
    state: Json
    pending: Pending


class SelectionPrefetch:
    """The pending selections of a run of `epochs` epochs."""

    def __init__(self, sampler: Sampler, config: SamplingConfig, epochs: int) -> None:
        self._sampler, self._config, self._epochs = sampler, config, epochs
        self._prefetched: dict[int, PrefetchedSelection] = {}

    def choose(self, epoch: int, weights: Mapping[str, Tensor]) -> tuple[Selection, SelectionInputs]:
        """Wait for the selection for `epoch`, the prefetched one or else one with `weights`; also what it is from."""
        before = self._sampler.state_dict()
        if epoch not in self._prefetched:
            inputs = SelectionInputs(epoch, epoch, copied(weights), before, before)
            return self._sampler.select(weights, epoch), inputs
        ahead = self._prefetched.pop(epoch)
        return ahead.pending.result(), SelectionInputs(epoch, ahead.version, ahead.weights, ahead.state, before)

    def request(self, epoch: int, weights: Mapping[str, Tensor]) -> None:
        """Submit the selections of later epochs that may use `weights`, those of `epoch`, without waiting."""
        last = min(epoch + self._config.staleness, self._epochs - 1)
        later_rounds = (later for later in range(epoch + 1, last + 1) if later % self._config.every == 0)
        missing = [later for later in later_rounds if later not in self._prefetched]
        copies = copied(weights) if missing else {}
        for later in missing:
            self._submit(later, epoch, copies)

    def state(self) -> Sequence[Json]:
        """The pending selections, as tensors and numbers."""
        return [
            {
                "epoch": selection.epoch, "version": selection.version, "weights": dict(selection.weights),
                "sampler": as_tensors(selection.state),
            }
            for selection in self._prefetched.values()
        ]  # fmt: skip

    def resume(self, state: Sequence[Json]) -> None:
        """Request again what was pending."""
        for selection in state:
            # Each request depends on the sampler's state at that time, for example on the selection before.
            self._sampler.load_state_dict(as_arrays(selection["sampler"]))
            self._submit(selection["epoch"], selection["version"], selection["weights"])

    def _submit(self, epoch: int, version: int, weights: Mapping[str, Tensor]) -> None:
        state = self._sampler.state_dict()
        pending = self._sampler.submit(weights, epoch, version)
        self._prefetched[epoch] = PrefetchedSelection(epoch, version, weights, state, pending)
