"""How a GPU rounds float32 products, and which kernels it takes, while one thread gives it work.

torch keeps both for the whole process, and TF32 in convolutions is on in it by default. Threads that want one way share
it, others wait until they are done; when nobody is left, everything is as the user had it. Only threads that come
through here take part: what another thread launches meanwhile is computed in the way that is set.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_CHANGED = threading.Condition()
_waiting: Counter[str] = Counter()
_state: dict[str, Any] = {"way": "", "users": 0, "before": ()}  # Any: torch's own settings

IEEE, TF32, AS_SET = "ieee", "tf32", "as set"
"""Products rounded once to float32; factors rounded to TF32's 11 bits; and whatever the user has set."""


@contextmanager
def gpu_arithmetic(way: str) -> Iterator[None]:
    """Within it float32 products are computed in a `way`; IEEE and TF32 also take kernels that repeat their bits.

    Not to be entered twice by one thread. The settings are those of torch 2.9 on, which also read where a user has set
    them; the older ones raise there.
    """
    _enter(way)
    try:
        yield
    finally:
        _leave()


def _enter(way: str) -> None:
    with _CHANGED:
        _waiting[way] += 1
        _CHANGED.wait_for(lambda: not _state["users"] or (_state["way"] == way and _waiting[way] == _waiting.total()))
        _waiting[way] -= 1
        _state["users"] += 1
        if _state["users"] == 1:
            _state.update(way=way, before=_settings())
            if way != AS_SET:
                _set((way, way, way, False, True))


def _leave() -> None:
    with _CHANGED:
        _state["users"] -= 1
        if not _state["users"]:
            if _state["way"] != AS_SET:
                _set(_state["before"])
            _CHANGED.notify_all()


def _settings() -> tuple[Any, ...]:  # Any: as above
    cudnn: Any = torch.backends.cudnn  # Any: torch's stubs lack the newer settings
    products = torch.backends.cuda.matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision
    return *products, cudnn.benchmark, cudnn.deterministic


def _set(settings: tuple[Any, ...]) -> None:  # Any: as above
    cudnn: Any = torch.backends.cudnn  # Any: as above
    (
        torch.backends.cuda.matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision,
        cudnn.benchmark, cudnn.deterministic,
    ) = settings  # fmt: skip


def products_are_tf32() -> bool:
    """Whether float32 matrix products are rounded to TF32 as things are set."""
    return bool(torch.backends.cuda.matmul.fp32_precision == TF32)
