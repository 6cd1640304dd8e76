"""Models and strategies on their way to a service: pickled so that code of the user's own travels along."""

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from ray import cloudpickle
from torch import Tensor, nn

from common.models.adapt import Embedder
from service.strategies.base import Strategy
from service.unpack import pack_pickle, strategy_options

_THERE = ("common", "service", "__main__")
"""Packages whose code needn't travel: ours are there, and what is in `__main__` travels anyway."""


def carry_model(model: Embedder) -> bytes:
    """The architecture: a pickle of the model with its weights set to zero, so that runs of one have one."""
    clone = copy.deepcopy(model).cpu()
    with torch.no_grad():
        for value in clone.state_dict().values():
            if isinstance(value, Tensor):
                value.zero_()
    for parameter in clone.parameters():
        parameter.grad = None
    parts = [clone, *getattr(clone, "modules", list)()]
    with _by_value(parts):
        return pack_pickle(cloudpickle.dumps(clone))


def carry_strategy(strategy: Strategy) -> dict[str, Any] | bytes:  # Any: numbers and strings
    """Its name and options, or a pickle of one that is in no table."""
    options = strategy_options(strategy)
    if options is not None:
        return options
    with _by_value([strategy]):
        return pack_pickle(cloudpickle.dumps(strategy))


@contextmanager
def _by_value(parts: list[nn.Module] | list[Any]) -> Iterator[None]:  # Any: a Strategy
    """Meanwhile the modules that define these objects, if they are the user's own, are pickled by value."""
    names = {kind.__module__ for part in parts for kind in type(part).__mro__}
    own = [sys.modules[name] for name in sorted(names) if name in sys.modules and _is_own(name)]
    fresh = [module for module in own if module.__name__ not in cloudpickle.list_registry_pickle_by_value()]
    for module in fresh:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in fresh:
            cloudpickle.unregister_pickle_by_value(module)


def _is_own(name: str) -> bool:
    file = getattr(sys.modules[name], "__file__", None)
    installed = file is None or "site-packages" in file or file.startswith(sys.base_prefix)
    return name.partition(".")[0] not in _THERE and not installed
