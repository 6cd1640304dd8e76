"""The trainer workers of one run: what they compute together, and what one of them does for all.

Rank 0 selects, validates, records and saves; all others get what comes of it, errors too. Everything else
every worker does by itself, so that all of them know the whole run and come to the same decisions.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from negsift.common.errors import NegsiftError

T = TypeVar("T")


class Team:
    """One worker, which is the whole team."""

    rank, size = 0, 1

    def prepared(self, model: nn.Module) -> nn.Module:
        """The model as a team trains it: the same parameters by the same names."""
        return model

    def joined(self, model: nn.Module) -> nn.Module:
        """The same model; gradients of its losses are the mean over all workers."""
        return model

    def mean(self, value: float) -> float:
        """The mean of the workers' values."""
        return value

    def agree(self, work: Callable[[], T]) -> T:
        """What `work` gives on rank 0, where alone it is done; where it raises an error of ours, all do."""
        return work()


class TorchTeam(Team):
    """The workers of torch's process group, which moves what is on a CPU by gloo."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def prepared(self, model: nn.Module) -> nn.Module:
        """On GPUs BatchNorm's statistics are those of the whole batch, on CPUs of each worker's share."""
        on_gpu = any(parameter.is_cuda for parameter in model.parameters())
        return nn.SyncBatchNorm.convert_sync_batchnorm(model) if on_gpu else model  # type: ignore[no-untyped-call]  # torch

    def joined(self, model: nn.Module) -> nn.Module:
        """The model in torch's DDP."""
        return DistributedDataParallel(model)

    def mean(self, value: float) -> float:
        """The mean of the workers' values."""
        total = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(total)
        return float(total) / self.size

    def agree(self, work: Callable[[], T]) -> T:
        """As above; what `work` gives must be picklable."""
        told: list[T | NegsiftError | None] = [_outcome(work) if self.rank == 0 else None]
        dist.broadcast_object_list(told, device=torch.device("cpu"))
        if isinstance(told[0], NegsiftError):
            raise told[0]
        return told[0]  # type: ignore[return-value]  # None only where T is


def _outcome(work: Callable[[], T]) -> T | NegsiftError:
    try:
        return work()
    except NegsiftError as error:
        return error
