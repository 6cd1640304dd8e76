"""Settings for all tests: hypothesis repeats itself, torch uses one thread, caches and Ray's token are temporary, Ctrl-C
is heard.
"""

import gc
import os
import secrets
import signal
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("house", max_examples=20, deadline=None, derandomize=True, database=None)
settings.load_profile("house")
torch.set_num_threads(1)  # for small tensors, more threads only take more CPU time
os.environ.setdefault("OMP_NUM_THREADS", "1")  # in programs started here, too: training rounds by the number of threads
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # in programs started here, too
signal.signal(signal.SIGINT, signal.default_int_handler)  # by programs started here, too, where tests run behind `&`


def pytest_collection_finish() -> None:
    """Some 400,000 objects of imported packages live to the end: each search for garbage would visit all of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEGSIFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
