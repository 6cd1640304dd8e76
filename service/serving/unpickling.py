"""Models and strategies as a task names them: by name with options, or as a pickle."""

import dataclasses
import pickle
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from negsift.common.arrays import Array
from negsift.common.data.table.schema import Payload
from negsift.common.errors import BadInput, BadModel
from negsift.common.models.adapt import AdaptedModule
from negsift.common.models.embedder import Embedder, as_embedder
from negsift.common.models.named import named_model
from negsift.common.overrides import updated
from negsift.service.strategies import STRATEGIES, StrategyConfig, make_strategy, takes
from negsift.service.strategies.base import Strategy


def make_embedder(model: Mapping[str, Any] | bytes, payload: Payload) -> Embedder:
    """The model that a task names, for bags of `payload`; raises BadModel for a pickle that can't be read here."""
    if not isinstance(model, bytes):
        return named_model(model, payload)
    network = _unpickle(model, "model", "name a model")
    return network if isinstance(network, AdaptedModule) else as_embedder(network)


def make_task_strategy(strategy: Mapping[str, Any] | bytes) -> Strategy:
    """The strategy that a task names; raises UnknownName, or BadInput for an option it doesn't take."""
    if not isinstance(strategy, bytes):
        return make_strategy(updated(StrategyConfig(), strategy, "strategy."))
    unpickled = _unpickle(strategy, "strategy", "name a strategy")
    if not isinstance(unpickled, Strategy):
        raise BadInput(f"a {type(unpickled).__name__} as strategy", "a Strategy", "give one")
    return unpickled


def strategy_options(strategy: Strategy) -> dict[str, Any] | None:  # Any: numbers and strings
    """The name and options that make a strategy of the table again; None for one that isn't in it."""
    for name, kind in STRATEGIES.items():
        if type(strategy) is kind:
            options = dataclasses.asdict(strategy).items()
            return {"name": name, **{key: value for key, value in options if takes(kind, key)}}
    return None


def make_tensor(form: tuple[Any, Any, str], numbers: Array | None, parameter: bool, learns: bool) -> Tensor:
    """A tensor of `form` (shape, strides, dtype): of these numbers, or of zeros where weights are yet to come."""
    shape, strides, dtype = form
    tensor = torch.empty_strided(shape, strides, dtype=getattr(torch, dtype)).zero_()
    if numbers is not None:
        tensor.copy_(torch.tensor(numbers))
    return nn.Parameter(tensor, learns) if parameter else tensor


def pack_pickle(pickled: bytes) -> bytes:
    """A pickle as it travels, compressed."""
    return zlib.compress(pickled, 1)


def _unpickle(packed: bytes, name: str, instead: str) -> Any:  # Any: whatever was pickled
    try:
        return pickle.loads(zlib.decompress(packed))
    except (ImportError, AttributeError, pickle.UnpicklingError, zlib.error, EOFError) as error:
        raise BadModel(
            f"a {name} that the service can't read ({error})", "one whose code its cluster can import",
            f"install that module on the cluster, or {instead}",
        ) from None  # fmt: skip
