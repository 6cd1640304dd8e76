"""The sampler and the folder of a run with several workers: rank 0 uses them, the others get what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from negsift.common.protocols import Pending, Sampler
from negsift.common.types import Selection
from negsift.common.weights import Weights
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.team import Team


@dataclass(frozen=True)
class Rank0Sampler:
    """A sampler that rank 0 asks."""

    team: Team
    sampler: Sampler

    def select(self, weights: Weights, epoch: int) -> Selection:
        """Rank 0's selection."""
        return self.team.agree(lambda: self.sampler.select(weights, epoch))

    def submit(self, weights: Weights, epoch: int, version: int | None = None) -> Pending:
        """Rank 0's selection, under way."""
        begun: list[Pending] = []
        self.team.agree(lambda: begun.append(self.sampler.submit(weights, epoch, version)))
        return Rank0Pending(self.team, begun)

    def state_dict(self) -> dict[str, Any]:  # Any: numpy arrays and numbers
        """The sampler's; rank 0's is the one that counts, and that is saved."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # Any: as above
        """Go on from a `state_dict`."""
        self.sampler.load_state_dict(state)


@dataclass(frozen=True)
class Rank0Pending:
    """A selection under way, which only rank 0 has: `begun` is empty elsewhere."""

    team: Team
    begun: list[Pending]

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for it."""
        return self.team.agree(lambda: self.begun[0].result(timeout_s))


@dataclass(frozen=True)
class Rank0Folder(RunFolder):
    """A run's folder that rank 0 reads and writes."""

    team: Team = field(default_factory=Team)

    def load(self) -> Json | None:
        """Rank 0's checkpoint."""
        return self.team.agree(lambda: RunFolder.load(self))

    def _write(self, name: str, write: Callable[[Path], object]) -> None:
        self.team.agree(lambda: RunFolder._write(self, name, write))
