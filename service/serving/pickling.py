"""Models and strategies on their way to a service, pickled so that the user's own code travels along."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ray import cloudpickle
from torch import Tensor, nn

from negsift.common.models.embedder import Embedder
from negsift.service.serving.unpickling import make_tensor, pack_pickle, strategy_options
from negsift.service.strategies.base import Strategy

_NOT_SENT = ("negsift", "__main__")
"""Packages whose code isn't sent: negsift is there, and cloudpickle sends what is in `__main__` by itself."""


def carry_model(model: Embedder) -> bytes:
    """The architecture: a pickle of the model without its weights, so that equal architectures give equal bytes."""
    state = {id(value) for value in model.state_dict(keep_vars=True).values()}
    with _by_value(list(model.modules())), io.BytesIO() as stream:
        _ArchitecturePickler(stream, state).dump(model)
        return pack_pickle(stream.getvalue())


class _ArchitecturePickler(cloudpickle.Pickler):
    """Writes tensors of the model's state by shape alone, all others with their numbers."""

    def __init__(self, stream: io.BytesIO, state: set[int]) -> None:
        super().__init__(stream)
        self._state = state

    def reducer_override(self, obj: object) -> Any:  # Any: the pickle protocol
        """How a tensor is made again; everything else as cloudpickle does it."""
        if not isinstance(obj, Tensor):
            return super().reducer_override(obj)
        numbers = None if id(obj) in self._state else obj.detach().cpu().numpy()
        form = tuple(obj.shape), obj.stride(), str(obj.dtype).removeprefix("torch.")
        return make_tensor, (form, numbers, isinstance(obj, nn.Parameter), obj.requires_grad)


def carry_strategy(strategy: Strategy) -> dict[str, Any] | bytes:  # Any: numbers and strings
    """Its name and options, or a pickle of a strategy that is in no table."""
    options = strategy_options(strategy)
    if options is not None:
        return options
    with _by_value([strategy]):
        return pack_pickle(cloudpickle.dumps(strategy))


@contextmanager
def _by_value(objects: Sequence[object]) -> Iterator[None]:
    """In this block the user's own modules that define these objects are pickled by value."""
    names = {kind.__module__ for value in objects for kind in type(value).__mro__}
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
    return name.partition(".")[0] not in _NOT_SENT and not installed
