"""Whose round is next: tasks take turns, each with its rounds in the order they came; one runs at a time."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairQueue:
    """A queue of rounds, fair to tasks: one that asks for many waits no less between two than one that asks for one."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.running: str | None = None

    @property
    def waiting(self) -> dict[str, int]:
        """How many rounds wait, by task."""
        return {task: len(queue) for task, queue in self._waiting.items()}

    @asynccontextmanager
    async def turn(self, task: str) -> AsyncIterator[None]:
        """Wait until it is the task's turn; the next one's comes when the block is left."""
        await self._wait(task)
        try:
            yield
        finally:
            self.running = None
            self._call_next()

    async def _wait(self, task: str) -> None:
        if self.running is None:
            self.running = task
            return
        called = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task, deque()).append(called)
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():  # called and cancelled at once
                self.running = None
                self._call_next()
            raise

    def _call_next(self) -> None:
        """Call the first round of the task served longest ago; the task goes to the end of the row."""
        while self._waiting and self.running is None:
            task, queue = self._waiting.popitem(last=False)
            called = queue.popleft()
            if queue:
                self._waiting[task] = queue
            if not called.done():
                self.running = task
                called.set_result(None)
