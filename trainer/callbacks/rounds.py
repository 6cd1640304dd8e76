"""What the callbacks share: rounds of selection on rank 0, whose negatives all ranks get, and their state."""

from collections.abc import Callable, Mapping
from typing import Any

import torch.distributed as dist
from torch import nn

from negsift.common.errors import BadInput
from negsift.common.protocols import Sampler
from negsift.common.weights import Weights, gathered
from negsift.trainer.callbacks.bags_in_use import require_in_use
from negsift.trainer.epoch_bags import EpochBags
from negsift.trainer.worker_group import TorchWorkerGroup, WorkerGroup

AnySampler = Sampler | Callable[[nn.Module], Sampler]
"""A sampler, or a function that makes one of the model."""


class SelectionRounds:
    """Fills `bags` with the negatives of one round after the other: of an epoch, or of `every_n_steps` steps.

    `sampler` is a sampler, or a function that makes one of the model at the start of training, which rank 0 alone calls
    and which is closed at the end. All ranks have to make the same calls.
    """

    def __init__(self, bags: EpochBags, sampler: AnySampler, every_n_steps: int | None = None) -> None:
        if not isinstance(bags, EpochBags):
            raise BadInput(f"bags of type {type(bags).__name__}", "EpochBags", "give EpochBags(positives, pool, k=...)")
        if not (callable(sampler) or hasattr(sampler, "select")):
            found = f"a {type(sampler).__name__} as sampler"
            raise BadInput(found, "a sampler, or a function that makes one of the model", "give one of them")
        if every_n_steps is not None and every_n_steps < 1:
            raise BadInput(f"every_n_steps={every_n_steps}", "1 or more", "leave it out to select once an epoch")
        self.bags, self.every_n_steps = bags, every_n_steps
        self.round: int | None = None
        """The round that the negatives are of."""
        self._given, self._sampler = sampler, None if callable(sampler) else sampler
        self._group, self._loaded = WorkerGroup(), dict[str, Any]()
        self._ended: Any = None  # Any: the state of the last sampler that was made here and closed

    def start(self, model: nn.Module) -> None:
        """Have the sampler ready, in the process group that is there by now."""
        self._group = TorchWorkerGroup() if dist.is_available() and dist.is_initialized() else WorkerGroup()
        if self._sampler is None and callable(self._given):
            make = self._given
            self._sampler = self._group.on_rank0_alone(lambda: make(model))
        self._restore()

    def require_in_use(self, loaders: object, are_all: bool = True) -> None:
        """Raise BadInput where a loop with these `loaders` can't read the bags, or warn where that is not sure."""
        require_in_use(self.bags, loaders, are_all)

    def at_epoch(self, epoch: int, weights: Callable[[], Weights]) -> bool:
        """Select for an epoch, or the first round of steps, unless that is done; gives whether it did."""
        round = epoch if self.every_n_steps is None else 0
        return (self.every_n_steps is None or self.round is None) and self._select(round, weights)

    def at_step(self, step: int, weights: Callable[[], Weights]) -> bool:
        """Select after so many steps of the optimiser, if a round ends with them; gives whether it did."""
        every = self.every_n_steps
        return every is not None and step % every == 0 and self._select(step // every, weights)

    def state_dict(self) -> dict[str, Any]:  # Any: tensors and numbers
        """All that later rounds depend on besides weights, and the negatives now; the sampler's state is rank 0's."""
        known = self._loaded.get("sampler", self._ended)
        sampler = known if self._sampler is None else self._sampler.state_dict()
        return {"round": self.round, "bags": self.bags.state_dict(), "sampler": sampler}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        """Continue from a `state_dict`; a sampler that is yet to be made gets its state then."""
        self._loaded = dict(state)
        self.bags.load_state_dict(state["bags"])
        self.round = state["round"]
        self._restore()

    def close(self) -> None:
        """Close the sampler if it was made here."""
        if callable(self._given) and self._sampler is not None:
            self._ended = self._sampler.state_dict()  # for a checkpoint that is written after training
            getattr(self._sampler, "close", lambda: None)()
            self._sampler = None

    def _select(self, round: int, weights: Callable[[], Weights]) -> bool:
        if round == self.round:  # it came with the state of a run that goes on
            return False
        whole = gathered(weights())
        self.bags.refresh(self._group.on_rank0(lambda: self._ready.select(whole, round)))
        self.round = round
        return True

    @property
    def _ready(self) -> Sampler:
        if self._sampler is None:
            raise BadInput("a callback whose training has not started", "a sampler", "build it before training")
        return self._sampler

    def _restore(self) -> None:
        state = self._loaded.get("sampler")
        if self._sampler is not None and state is not None:
            self._sampler.load_state_dict(state)
            self._loaded = {}
