"""Whose round is next: tasks take turns, each with its rounds in order of arrival; one round runs at a time."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairQueue:
    """A queue of rounds. A task that asks for many waits as long between two as a task that asks for one."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.running: str | None = None

    @property
    def waiting(self) -> dict[str, int]:
        """The number of rounds that wait, by task."""
        return {task: len(rounds) for task, rounds in self._waiting.items()}

    @asynccontextmanager
    async def turn(self, task: str) -> AsyncIterator[None]:
        """Wait until it is the task's turn; the next turn begins when the block is left."""
        await self._wait(task)
        try:
            yield
        finally:
            self.running = None
            self._start_next()

    async def _wait(self, task: str) -> None:
        if self.running is None:
            self.running = task
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn came at the moment of the cancellation
                self.running = None
                self._start_next()
            raise

    def _start_next(self) -> None:
        """Start the first round of the task served longest ago, and put that task at the end of the queue."""
        while self._waiting and self.running is None:
            task, rounds = self._waiting.popitem(last=False)
            turn = rounds.popleft()
            if rounds:
                self._waiting[task] = rounds
            if not turn.done():
                self.running = task
                turn.set_result(None)
