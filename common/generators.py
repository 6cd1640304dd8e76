"""The global random generators of this process, which belong to the caller."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def generators_kept() -> Iterator[None]:
    """Leave Python's, numpy's and torch's global generators as they were, whatever is drawn on any thread meanwhile.

    Only for a caller that waits: what it drew itself in the block would be drawn again.
    """
    python, legacy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  # the caller's
    on_gpu: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch's stub
    gpus = torch.cuda.get_rng_state_all() if on_gpu else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002  # as above
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(gpus)
