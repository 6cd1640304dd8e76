"""Worker threads that each take whole blocks, or clips, and do torch's work alone.

Some matrix products round differently on one thread and on two; with one thread a block, and many
blocks at once, the numbers don't depend on how many there are.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import torch


def block_workers(count: int, name: str = "negsift-block") -> ThreadPoolExecutor:
    """`count` threads with torch's intra-op parallelism off; the settings of all other threads stay as they are."""
    outside = torch.get_num_threads()
    ready = threading.Barrier(count + 1)
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    def settle() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # settles it: else the first product here takes the number set outside
        ready.wait()

    for _ in range(count):
        pool.submit(settle)
    ready.wait()
    torch.set_num_threads(outside)
    return pool
