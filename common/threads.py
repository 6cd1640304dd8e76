"""Worker threads that each compute whole blocks or clips, with torch on a single thread.

Some matrix products round differently on one thread and on two; with one a block, their number makes no difference.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within it, torch's operators in this thread use `count` threads; 0 leaves the number as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def block_workers(count: int, name: str = "negsift-block") -> ThreadPoolExecutor:
    """`count` threads without torch's intra-op parallelism; the settings of other threads stay unchanged."""
    threads_before = torch.get_num_threads()
    ready = threading.Barrier(count + 1)
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    def use_one_thread() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # applies the setting; else the first product would use the other threads' number
        ready.wait()

    for _ in range(count):
        pool.submit(use_one_thread)
    ready.wait()
    torch.set_num_threads(threads_before)
    return pool
