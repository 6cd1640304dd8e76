"""The trainer workers of one run: the model they train together, and the work that rank 0 does for all.

Rank 0 selects, validates, records and saves; the other ranks get its results and its errors. Every worker does
the rest itself, so all of them know the state of the run and make the same decisions.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from negsift.common.errors import NegsiftError

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

    def on_rank0(self, work: Callable[[], T]) -> T:
        """The result of `work`, which only rank 0 calls. If it raises a NegsiftError, all ranks raise it."""
        return work()


class TorchWorkerGroup(WorkerGroup):
    """The workers of torch's process group, whose CPU tensors are exchanged by gloo."""

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

    def on_rank0(self, work: Callable[[], T]) -> T:
        """As in the base class; the result must be picklable."""
        outcomes: list[T | NegsiftError] = [NegsiftError("rank 0 sent no result")]
        if self.rank == 0:
            try:
                outcomes = [work()]
            except NegsiftError as error:
                outcomes = [error]
        dist.broadcast_object_list(outcomes, device=torch.device("cpu"))
        (outcome,) = outcomes
        if isinstance(outcome, NegsiftError):
            raise outcome
        return outcome
