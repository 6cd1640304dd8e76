"""The positives of an epoch: all of them, those whose turn it is, or those that a strategy chooses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from torch import Tensor

from negsift.common.arrays import Floats
from negsift.common.data.protocols import LabelledBags
from negsift.common.permutation import Permutation
from negsift.common.protocols import Sampler
from negsift.common.rng import stream_key
from negsift.common.types import Selection
from negsift.trainer.selection_inputs import as_arrays, as_tensors
from negsift.trainer.worker_group import WorkerGroup

MakeSampler = Callable[[], Sampler]
"""Makes the sampler that chooses positives; it can be sent to a worker, where a sampler of this process can't."""


@dataclass(frozen=True)
class ChosenPositives:
    """The positive `bags` of an epoch, the `weight` (n,) of each in the loss, and how many were `scored` for it."""

    bags: LabelledBags
    weight: Floats
    scored: int = 0

    @classmethod
    def alike(cls, bags: LabelledBags) -> Self:
        """These bags, with weight 1 each."""
        return cls(bags, np.ones(len(bags)))


class EpochPositives:
    """Chooses `k` of the positive bags each epoch; all of them for k = 0, and the next ones without a sampler."""

    def __init__(
        self, bags: LabelledBags, k: int, seed: int, group: WorkerGroup, make: MakeSampler | None = None
    ) -> None:
        self._bags, self._k, self._seed, self._group = bags, k, seed, group
        self._chooses = make is not None and 0 < k < len(bags)
        self._sampler = make() if make is not None and self._chooses and group.rank == 0 else None

    def choose(self, epoch: int, weights: Mapping[str, Tensor]) -> ChosenPositives:
        """The epoch's positives; a strategy scores them with these weights."""
        if not self._chooses:
            return ChosenPositives.alike(walked(self._bags, self._k, self._seed, epoch))
        chosen = self._group.on_rank0(lambda: self._select(weights, epoch))
        return ChosenPositives(self._bags.subset(chosen.index), chosen.weight, chosen.account.scored)

    def state_dict(self) -> dict[str, Any]:  # Any: tensors and numbers
        """What later choices depend on; on rank 0 alone."""
        return {} if self._sampler is None else as_tensors(self._sampler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:  # Any: as above
        """Continue from a `state_dict`."""
        if self._sampler is not None:
            self._sampler.load_state_dict(as_arrays(state))

    def close(self) -> None:
        """Free the sampler."""
        if self._sampler is not None:
            self._sampler.close()

    def _select(self, weights: Mapping[str, Tensor], epoch: int) -> Selection:
        assert self._sampler is not None  # on rank 0
        return self._sampler.select(weights, epoch)


def walked(bags: LabelledBags, k: int, seed: int, epoch: int) -> LabelledBags:
    """The `k` of the bags whose turn it is in an epoch, in their order; all of them for 0, or where there are no more.

    They are taken in a random order, without replacement; once all had their turn, in another one (RS2, Okanovic et
    al., arXiv 2305.18424). The last epoch of an order is filled up with its first bags.
    """
    if not 0 < k < len(bags):
        return bags
    cycle, turn = divmod(epoch, -(-len(bags) // k))
    index = np.arange(len(bags), dtype=np.int64)
    rank = Permutation(stream_key(seed, "positives", cycle), len(bags)).rank(index)
    return bags.subset(index[(rank - turn * k) % len(bags) < k])
