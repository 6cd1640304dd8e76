"""Whether a training loop reads the bags that a callback fills. Where it does not, selection would change nothing."""

import functools
import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from types import MethodType, ModuleType

from torch import Tensor, nn
from torch.utils.data import DataLoader

from negsift.common.errors import BadInput
from negsift.trainer.epoch_bags import EpochBags

log = logging.getLogger(__name__)
_MOST = 10_000
_SHORT = 32
"""Longer lists consist of bags, not of loaders."""
_LIBRARIES = {
    "torch", "lightning", "accelerate", "transformers", "datasets", "pyarrow", "numpy", "negsift", "builtins",
    "functools", "collections", "weakref",
}  # fmt: skip
_NO_PARTS = (str, bytes, int, float, type, ModuleType, logging.Logger, Tensor, nn.Module, EpochBags)
"""Plain values, and what refers to all of a training."""


def require_in_use(bags: EpochBags, loaders: object, are_all: bool = True) -> None:
    """Raise BadInput if no part of `loaders` is `bags`. It is a warning where code that is not a library's may read
    them nevertheless, and where the loop may have other loaders (not `are_all`).
    """
    parts = list(islice(_parts(loaders), _MOST))
    if any(part is bags for part in parts):
        return
    datasets = sorted({type(part.dataset).__name__ for part in parts if isinstance(part, DataLoader)})
    found = f"a training loader of {', '.join(datasets) or 'bags'}, without the EpochBags of the callback"
    if are_all and len(parts) < _MOST and all(map(_is_known, parts)):
        raise BadInput(found, "one that reads the negatives chosen", "train on the EpochBags that the callback has")
    log.warning("%s: unless it reads them nevertheless, selection changes nothing", found)


def _is_known(part: object) -> bool:
    """Whether it reads nothing but its parts: what has no code to read by, and the code of libraries."""
    has_code = any(hasattr(type(part), name) for name in ("__getitem__", "__iter__", "__call__"))
    module = getattr(part, "__module__", None) or type(part).__module__
    return not has_code or module.partition(".")[0] in _LIBRARIES


def _parts(root: object) -> Iterator[object]:
    """The object, and what is in its attributes, containers and bound arguments, each once."""
    seen, waiting = set[int](), [root]
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting += _inner(part)


def _inner(part: object) -> list[object]:
    if isinstance(part, _NO_PARTS):
        return []
    if isinstance(part, functools.partial):
        return [part.func, *part.args, *part.keywords.values()]
    if isinstance(part, MethodType):
        return [part.__self__]
    if isinstance(part, (Mapping, list, tuple, set)):
        inner = list(part.values() if isinstance(part, Mapping) else part)
        return inner if len(inner) <= _SHORT else []
    return list(getattr(part, "__dict__", {}).values())
