"""The blocks of a shard worked on by threads, in order, with few results waiting at a time."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
T = TypeVar("T")
_AHEAD = 32


def map_blocks(
    threads: Executor, work: Callable[[Item], T], items: Sequence[Item], share: tuple[int, int], ahead: int = _AHEAD
) -> Generator[T]:
    """`work(item)` of each block or run of blocks in order, at most `ahead` begun early; a terminal shows a bar for
    shard `share`.
    """
    label = f"scoring, shard {share[0] + 1} of {share[1]}"
    pending: deque[Future[T]] = deque()
    with tqdm(total=len(items), desc=label, disable=None, leave=False, unit="part", delay=1) as bar:
        try:
            for item in items:
                pending.append(threads.submit(work, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
                    bar.update()
            while pending:
                yield pending.popleft().result()
                bar.update()
        finally:
            for future in pending:
                future.cancel()
