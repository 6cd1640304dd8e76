"""The trainer workers of one run: the model they train together, and the work that rank 0 does for all.

Rank 0 selects, validates, records and saves; the other ranks get its results and its errors. Every worker does
the rest itself, so all of them know the state of the run and make the same decisions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from negsift.common.arrays import Array, Index
from negsift.common.errors import NegsiftError
from negsift.common.protocols import Pending, Sampler
from negsift.common.types import Selection
from negsift.common.unfinished import replacing
from negsift.common.weights import Weights
from negsift.trainer.folder import Json, Opened, RunFolder

T = TypeVar("T")


class WorkerGroup:
    """A group of a single worker. It is the base class of groups of several."""

    rank, size = 0, 1

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model in the form in which the group trains it, with the same parameters under the same names."""
        return model

    def wrap(self, model: nn.Module) -> nn.Module:
        """A wrapper of the model whose gradients are averaged over all workers."""
        return model

    def mean(self, value: float) -> float:
        """The mean of the workers' values."""
        return value

    def gathered(self, value: T) -> Sequence[T]:
        """The workers' values in the order of their ranks, on rank 0; nothing on the others."""
        return [value]

    def on_rank0(self, work: Callable[[], T]) -> T:
        """The result of `work`, which only rank 0 calls. If it raises a NegsiftError, all ranks raise it."""
        return work()

    def on_rank0_alone(self, work: Callable[[], T]) -> T | None:
        """The result of `work` on rank 0, None on the others, for results that can't travel; errors are as above."""
        made: list[T] = []
        self.on_rank0(lambda: made.append(work()))
        return made[0] if made else None


class TorchWorkerGroup(WorkerGroup):
    """The workers of torch's process group; what they exchange goes by CPU tensors where it has gloo, too."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def prepare(self, model: nn.Module) -> nn.Module:
        """On GPUs, BatchNorm uses the statistics of the whole batch; on CPUs, those of each worker's share."""
        convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
        return convert(model) if any(parameter.is_cuda for parameter in model.parameters()) else model

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model in torch's DistributedDataParallel."""
        return DistributedDataParallel(model)

    def mean(self, value: float) -> float:
        """The mean of the workers' values."""
        total = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(total)
        return float(total) / self.size

    def gathered(self, value: T) -> Sequence[T]:
        """The workers' values, which must be picklable, on rank 0."""
        values: list[T | None] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(value, values)
        return [one for one in values or [] if one is not None]

    def on_rank0(self, work: Callable[[], T]) -> T:
        """As in the base class; the result must be picklable."""
        outcomes: list[T | NegsiftError] = [NegsiftError("rank 0 sent no result")]
        if self.rank == 0:
            try:
                outcomes = [work()]
            except NegsiftError as error:
                outcomes = [error]
        dist.broadcast_object_list(outcomes)
        (outcome,) = outcomes
        if isinstance(outcome, NegsiftError):
            raise outcome
        return outcome


@dataclass(frozen=True)
class Rank0Sampler:
    """A sampler that only rank 0 calls."""

    group: WorkerGroup
    sampler: Sampler

    def select(self, weights: Weights, epoch: int) -> Selection:
        """Rank 0's selection."""
        return self.group.on_rank0(lambda: self.sampler.select(weights, epoch))

    def submit(self, weights: Weights, epoch: int, version: int | None = None) -> Pending:
        """Rank 0's pending selection."""
        return Rank0Pending(self.group, self.group.on_rank0_alone(lambda: self.sampler.submit(weights, epoch, version)))

    def remember(self, index: Index, logits: Array, version: int) -> None:
        """Have rank 0 remember logits that it has gathered."""
        self.group.on_rank0(lambda: self.sampler.remember(index, logits, version))

    def state_dict(self) -> dict[str, Any]:  # Any: numpy arrays and numbers
        """The sampler's state; only that of rank 0 is current, and only that is saved."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        """Continue from a `state_dict`."""
        self.sampler.load_state_dict(state)

    def close(self, finish: bool = True) -> None:
        """Close this worker's sampler."""
        self.sampler.close(finish)


@dataclass(frozen=True)
class Rank0Pending:
    """A pending selection that only rank 0 has."""

    group: WorkerGroup
    submitted: Pending | None

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for the selection."""
        return self.group.on_rank0(lambda: self._result(timeout_s))

    def _result(self, timeout_s: float | None) -> Selection:
        assert self.submitted is not None  # on rank 0
        return self.submitted.result(timeout_s)


@dataclass(frozen=True)
class Rank0Folder(RunFolder):
    """A run's folder that only rank 0 reads and writes."""

    group: WorkerGroup = field(default_factory=WorkerGroup)

    def load(self) -> Json | None:
        """Rank 0's checkpoint."""
        return self.group.on_rank0(lambda: RunFolder.load(self))

    def _write(self, name: str, write: Callable[[BinaryIO], object], opened: Opened = replacing) -> None:
        self.group.on_rank0(lambda: RunFolder._write(self, name, write, opened))
