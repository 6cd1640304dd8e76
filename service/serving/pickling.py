"""Models and strategies on their way to a service: pickled so that code of the user's own travels along."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import cloudpickle
from torch import Tensor, nn

from negsift.common.models.adapt import Embedder
from negsift.service.serving.unpickling import make_tensor, pack_pickle, strategy_options
from negsift.service.strategies.base import Strategy

_THERE = ("common", "service", "__main__")
"""Packages whose code needn't travel: ours are there, and what is in `__main__` travels anyway."""


def carry_model(model: Embedder) -> bytes:
    """The architecture: a pickle of the model without its weights, so that runs of one have one."""
    state = {id(value) for value in model.state_dict(keep_vars=True).values()}
    with _by_value(list(model.modules())), io.BytesIO() as stream:
        _Architecture(stream, state).dump(model)
        return pack_pickle(stream.getvalue())


class _Architecture(cloudpickle.Pickler):
    """Writes tensors by shape alone, those of the state without their numbers; equal architectures give equal bytes."""

    def __init__(self, stream: io.BytesIO, state: set[int]) -> None:
        super().__init__(stream)
        self._state = state

    def reducer_override(self, obj: object) -> Any:  # Any: the pickle protocol
        """How a tensor is made again; all else as ever."""
        if not isinstance(obj, Tensor):
            return super().reducer_override(obj)
        numbers = None if id(obj) in self._state else obj.detach().cpu().numpy()
        form = tuple(obj.shape), obj.stride(), str(obj.dtype).removeprefix("torch.")
        return make_tensor, (form, numbers, isinstance(obj, nn.Parameter), obj.requires_grad)


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
