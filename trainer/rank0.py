"""The sampler and the folder of a run with several workers: rank 0 uses them, and all ranks get the results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from negsift.common.protocols import Pending, Sampler
from negsift.common.types import Selection
from negsift.common.weights import Weights
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.worker_group import WorkerGroup


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
        submitted: list[Pending] = []
        self.group.on_rank0(lambda: submitted.append(self.sampler.submit(weights, epoch, version)))
        return Rank0Pending(self.group, submitted)

    def state_dict(self) -> dict[str, Any]:  # Any: numpy arrays and numbers
        """The sampler's state; only that of rank 0 is current, and only that is saved."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        """Continue from a `state_dict`."""
        self.sampler.load_state_dict(state)


@dataclass(frozen=True)
class Rank0Pending:
    """A pending selection that only rank 0 has; `submitted` is empty on the other ranks."""

    group: WorkerGroup
    submitted: list[Pending]

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for the selection."""
        return self.group.on_rank0(lambda: self.submitted[0].result(timeout_s))


@dataclass(frozen=True)
class Rank0Folder(RunFolder):
    """A run's folder that only rank 0 reads and writes."""

    group: WorkerGroup = field(default_factory=WorkerGroup)

    def load(self) -> Json | None:
        """Rank 0's checkpoint."""
        return self.group.on_rank0(lambda: RunFolder.load(self))

    def _write(self, name: str, write: Callable[[Path], object]) -> None:
        self.group.on_rank0(lambda: RunFolder._write(self, name, write))
