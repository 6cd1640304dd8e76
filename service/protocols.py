"""Where rounds run, as a sampler sees it: in this process, in a coordinator actor, or in a shared service."""

from dataclasses import replace
from typing import Protocol

from negsift.common.protocols import Pending
from negsift.common.types import Round, Selection, Snapshot
from negsift.service.selection.task import Task


def in_blocks(selection: Selection, block: int) -> Selection:
    """The selection with the number of bags of a block in its account."""
    return replace(selection, account=replace(selection.account, block=block))


class Service(Protocol):
    """Runs rounds: `LocalService` in this process, `RayService` by actors, `AttachedService` in another program.

    Blocks have `block` bags, 0 where another program decides that.
    """

    block: int

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> Pending:
        """Start a round and return at once."""

    def describe(self) -> str:
        """One line on what was set up."""

    def end(self, task: Task) -> None:
        """No more rounds of this task are asked for; those of others go on."""

    def close(self, finish: bool = True) -> None:
        """Free all resources; a round under way is finished first, or given up unless `finish`."""
