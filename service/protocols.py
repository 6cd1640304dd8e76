"""Where rounds run, as a sampler sees it: in this process, in a coordinator actor, or in a shared service."""

from typing import Protocol

from negsift.common.protocols import Pending
from negsift.common.types import Round, Snapshot
from negsift.service.selection.task import Task


class Service(Protocol):
    """Runs rounds: `LocalService` in this process, `RayService` by actors, `AttachedService` in another program."""

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> Pending:
        """Start a round and return at once."""

    def describe(self) -> str:
        """One line on what was set up."""

    def end(self, task: Task) -> None:
        """No more rounds of this task are asked for; those of others go on."""

    def close(self, finish: bool = True) -> None:
        """Free all resources; a round under way is finished first, or given up unless `finish`."""
