"""Work on many items by threads, with few answers waiting at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_AHEAD = 32


def rolling_map(threads: Executor, work: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
    """`work(item)` of every item, in order, as `Executor.map` gives it, but begun only a few items ahead."""
    under_way: deque[Future[Answer]] = deque()
    try:
        for item in items:
            under_way.append(threads.submit(work, item))
            if len(under_way) >= _AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()
