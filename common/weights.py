"""State dicts as numpy arrays: checked, named by a hash of their content, and ready for other processes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from negsift.common.errors import BadWeights
from negsift.common.types import Snapshot

Weights = Mapping[str, Tensor | NDArray[np.generic]]

_REALS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_WHOLE = {torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64}
_DTYPES = {*_REALS, *_WHOLE, torch.bool, torch.complex64, torch.complex128}


@dataclass(frozen=True)
class Fault:
    """`what` keeps an entry of a state dict from being an array of numbers, and the `remedy`."""

    what: str
    remedy: str


def fault_of(value: object) -> Fault | None:
    """What is wrong with an entry of a state dict; None for a dense tensor, an array or a number."""
    if not isinstance(value, Tensor):
        numbers = isinstance(value, (np.ndarray, np.generic, int, float)) and np.asarray(value).dtype.kind in "biufc"
        return None if numbers else Fault(f"of type {type(value).__name__}", "keep all but tensors out of it")
    if is_lazy(value):
        return Fault("of a lazy layer, which have no shape yet", "run the model on one batch first")
    if value.is_meta:
        return Fault("on the meta device, which holds no numbers", "use to_empty(), then load or initialise them")
    if hasattr(value, "full_tensor"):
        return Fault("sharded over processes (a DTensor)", "gather them with full_tensor() in every process")
    if value.layout != torch.strided:
        return Fault(f"of layout {value.layout}", "use to_dense()")
    if value.dtype not in _DTYPES:
        return Fault(f"of {value.dtype}", "give them in float32 or bfloat16")
    return None


def take_snapshot(weights: Weights, version: int) -> Snapshot:
    """A copy of `weights`, which later training steps do not change; DTensors are gathered, by a call that every
    process of their group has to make. Raises BadWeights for anything but a state dict of dense tensors or arrays, and
    if a floating-point entry is not finite.
    """
    if not isinstance(weights, Mapping):
        raise BadWeights(f"weights of type {type(weights).__name__}", "a state dict", "pass model.state_dict()")
    arrays = {name: _to_numpy(name, value) for name, value in weights.items()}
    return Snapshot(version, weights_digest(arrays), arrays)


def weights_digest(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """A hash of the weights' content. Raises BadWeights if a floating-point entry is not finite."""
    digest = hashlib.blake2b(digest_size=16)
    for name, array in arrays.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray):
            raise BadWeights(f"{type(array).__name__} as weights {name!r}", "numpy arrays by name", "convert them")
        _require_finite(name, array)
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def load_snapshot(model: nn.Module, snapshot: Snapshot) -> None:
    """Copy the weights into `model`. Raises BadWeights unless names and shapes are exactly the model's."""
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    published = {name: tuple(value.shape) for name, value in snapshot.weights.items()}
    for name in {**expected, **published}:
        if expected.get(name) != published.get(name):
            raise _misfit(name, expected, published)
    for name, value in model.state_dict().items():
        _require_kind(name, snapshot.weights[name], value)
    # torch.tensor copies: the arrays may be read-only views of memory that processes share
    model.load_state_dict({name: torch.tensor(value) for name, value in snapshot.weights.items()})


def _require_kind(name: str, array: NDArray[np.generic], value: Tensor) -> None:
    """Raise BadWeights for numbers that torch would change to fit: complex ones as real, truth values as numbers."""
    kind = "complex" if value.is_complex() else "bool" if value.dtype == torch.bool else "real"
    given = {"c": "complex", "b": "bool"}.get(array.dtype.kind, "real")
    if given != kind:
        raise BadWeights(f"{given} weights {name!r}", f"{kind} ones", "publish the state_dict of the sampler's model")


def _misfit(name: str, expected: Mapping[str, tuple[int, ...]], published: Mapping[str, tuple[int, ...]]) -> BadWeights:
    """The error for an entry that is missing, unknown or of another shape."""
    remedy = "publish the state_dict of the model the sampler was given"
    wrapped = [other for other in published if other.endswith(f".{name}") and other not in expected]
    if wrapped:
        inner = wrapped[0].removesuffix(f".{name}")
        return BadWeights(f"weights {wrapped[0]!r}", repr(name), f"{remedy}: of model.{inner}, inside the wrapper")
    if any(name.endswith(f".{other}") for other in published):
        remedy += ", a wrapper of this one, or give the sampler the model inside it"
    found = f"weights {name!r} of shape {published[name]}" if name in published else f"no weights {name!r}"
    return BadWeights(found, f"shape {expected[name]}" if name in expected else "no such entry", remedy)


def _to_numpy(name: str, value: object) -> NDArray[np.generic]:
    whole = _gathered(value)
    fault = fault_of(whole)
    if fault is not None:
        raise BadWeights(f"weights {name!r} {fault.what}", "dense tensors or arrays", fault.remedy)
    if isinstance(whole, Tensor):
        cpu = whole.detach().cpu()
        return (cpu.float() if cpu.dtype == torch.bfloat16 else cpu).numpy().copy()
    array = np.array(whole)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _gathered(value: object) -> object:
    """A DTensor as a whole, if a process group is there; any other value as it is."""
    gather = getattr(value, "full_tensor", None)
    ready = gather is not None and torch.distributed.is_available() and torch.distributed.is_initialized()
    return gather() if gather is not None and ready else value


def _require_finite(name: str, array: NDArray[np.generic]) -> None:
    bad = array.size - np.isfinite(array).sum() if np.issubdtype(array.dtype, np.floating) else 0
    if bad:
        found = f"{bad} of {array.size} values of {name!r} not finite"
        remedy = "training diverged: lower the learning rate or resume from an earlier checkpoint"
        raise BadWeights(found, "finite weights", remedy)
