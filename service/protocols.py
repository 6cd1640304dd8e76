"""Where rounds are run: the interface of a service, and the one inside this process."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import NoReturn, Protocol

from negsift.common.errors import BadInput
from negsift.common.protocols import Pending
from negsift.common.types import Round, Selection, Snapshot
from negsift.service.fleet.local import LocalFleet
from negsift.service.selection.coordinator import Coordinator, Task


class Service(Protocol):
    """Where rounds are run: in this process, or by a coordinator actor."""

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> Pending:
        """Start a round; it doesn't wait."""

    def describe(self) -> str:
        """What was set up, in one line."""

    def close(self, finish: bool = True) -> None:
        """Let go of everything; a round under way is finished first, or given up unless `finish`."""


class LocalService:
    """Rounds run one at a time on a thread of their own, so that `begin` doesn't wait."""

    def __init__(self, fleet: LocalFleet, coordinator: Coordinator, line: str) -> None:
        self._fleet, self._coordinator, self._line = fleet, coordinator, line
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="negsift-coordinator")

    def begin(self, task: Task, round: Round, snapshot: Snapshot) -> Pending:
        """Queue the round."""
        return LocalPending(self._thread.submit(self._coordinator.select, task, round, snapshot))

    def __getstate__(self) -> NoReturn:
        raise BadInput("a sampler sent to another process, its shards in this one", "shards on Ray", "give fleet='ray'")

    def describe(self) -> str:
        """What was set up, in one line."""
        return self._line

    def close(self, finish: bool = True) -> None:
        """Finish what was begun, or no more than the blocks in hand, and end the threads."""
        if not finish:
            self._fleet.close(finish)
        self._thread.shutdown(cancel_futures=not finish)
        self._fleet.close()


@dataclass(frozen=True)
class LocalPending:
    """A selection under way on the coordinator's thread."""

    future: Future[Selection]

    def result(self, timeout_s: float | None = None) -> Selection:
        """Wait for it; raises TimeoutError after `timeout_s`."""
        done, _ = wait([self.future], timeout_s)
        if not done:
            raise TimeoutError(f"no selection within {timeout_s:g} s")
        return self.future.result()
