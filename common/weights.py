"""State dicts as numpy arrays: checked, named by a hash of their content, and ready for other processes."""

import hashlib
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_map

from negsift.common.errors import BadWeights
from negsift.common.types import Snapshot

Weights = Mapping[str, Tensor | NDArray[np.generic]]

_REALS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_WHOLE = {torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64}
_DTYPES = {*_REALS, *_WHOLE, torch.bool, torch.complex64, torch.complex128}
_WRAPPERS = re.compile(r"(^|\.)(?:(?:module|_orig_mod)\.)+")
"""What DataParallel, DistributedDataParallel and `torch.compile` put into names."""


@dataclass(frozen=True)
class Fault:
    """`what` keeps an entry of a state dict from being an array of numbers, and the `remedy`."""

    what: str
    remedy: str


def fault_of(value: object) -> Fault | None:
    """What is wrong with an entry of a state dict; None for a dense tensor, an array or a number."""
    if isinstance(value, torch.dtype):  # which its layers keep beside their packed weights
        return Fault("of a quantized layer", "give the model that it was quantized from")
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


def is_extra_state(name: str) -> bool:
    """Whether a state dict's entry is what a module's `get_extra_state` gave, which may be of any kind."""
    return name.rpartition(".")[2] == "_extra_state"


def gathered(weights: Weights) -> dict[str, Any]:  # Any: entries of a state dict
    """The weights with DTensors as whole tensors, by calls that every process of their group has to make."""
    return {name: _gathered(value) for name, value in weights.items()}


def take_snapshot(weights: Weights, version: int) -> Snapshot:
    """A copy of `weights`, which later training steps do not change; DTensors are gathered, by a call that every
    process of their group has to make. Extra state of modules becomes bytes. Raises BadWeights for anything else than
    dense tensors or arrays, and if a floating-point entry is not finite.
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


def load_snapshot(model: nn.Module, snapshot: Snapshot) -> Snapshot:
    """Copy the weights into `model`, and give the snapshot under the model's own names.

    Wrappers of torch, such as DistributedDataParallel, lengthen names on either side. Raises BadWeights unless names
    and shapes are exactly the model's.
    """
    entries = model.state_dict()
    snapshot = replace(snapshot, weights=_renamed(snapshot.weights, list(entries)))
    expected = {name: _shape(name, value) for name, value in entries.items()}
    published = {name: _shape(name, value) for name, value in snapshot.weights.items()}
    for name in {**expected, **published}:
        if expected.get(name) != published.get(name):
            raise _misfit(name, expected, published)
    for name, value in entries.items():
        _require_kind(name, snapshot.weights[name], value)
    model.load_state_dict({name: _entry(name, value) for name, value in snapshot.weights.items()})
    return snapshot


def _renamed(weights: Mapping[str, NDArray[np.generic]], names: list[str]) -> Mapping[str, NDArray[np.generic]]:
    """The weights under `names` where they differ by torch's wrappers only; else as they are."""
    own, given = ({_WRAPPERS.sub(r"\1", name): name for name in each} for each in (names, weights))
    if own.keys() != given.keys() or len(own) < max(len(names), len(weights)):
        return weights
    return {own[name]: weights[full] for name, full in given.items()}


def _shape(name: str, value: NDArray[np.generic] | Tensor) -> tuple[int, ...]:
    """The shape of an entry, () for extra state, whose size may change."""
    return () if is_extra_state(name) else tuple(value.shape)


def _entry(name: str, array: NDArray[np.generic]) -> object:
    """What a module loads: a tensor that owns its memory, since processes may share the array, or its extra state."""
    return pickle.loads(array.tobytes()) if is_extra_state(name) else torch.tensor(array)


def _require_kind(name: str, array: NDArray[np.generic], value: Tensor) -> None:
    """Raise BadWeights for numbers that torch would change to fit: complex ones as real, truth values as numbers."""
    if is_extra_state(name):
        return
    kind = "complex" if value.is_complex() else "bool" if value.dtype == torch.bool else "real"
    given = {"c": "complex", "b": "bool"}.get(array.dtype.kind, "real")
    if given != kind:
        raise BadWeights(f"{given} weights {name!r}", f"{kind} ones", "publish the state_dict of the sampler's model")


def _misfit(name: str, expected: Mapping[str, tuple[int, ...]], published: Mapping[str, tuple[int, ...]]) -> BadWeights:
    """The error for an entry that is missing, unknown or of another shape."""
    remedy = "publish the state_dict of the model the sampler was given"
    longer = [other for other in published if other.endswith(f".{name}") and other not in expected]
    if longer:
        inner = longer[0].removesuffix(f".{name}")
        return BadWeights(f"weights {longer[0]!r}", repr(name), f"{remedy}: of model.{inner}, a part of this one")
    if any(name.endswith(f".{other}") for other in published):
        remedy += ", of which this is a part, or give the sampler that part"
    found = f"weights {name!r} of shape {published[name]}" if name in published else f"no weights {name!r}"
    return BadWeights(found, f"shape {expected[name]}" if name in expected else "no such entry", remedy)


def _to_numpy(name: str, value: object) -> NDArray[np.generic]:
    if is_extra_state(name):
        return np.frombuffer(_pickled(name, value), dtype=np.uint8)
    whole = _gathered(value)
    fault = fault_of(whole)
    if fault is not None:
        raise BadWeights(f"weights {name!r} {fault.what}", "dense tensors or arrays", fault.remedy)
    if isinstance(whole, Tensor):
        cpu = whole.detach().cpu()
        return (cpu.float() if cpu.dtype == torch.bfloat16 else cpu).numpy().copy()
    array = np.array(whole)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _pickled(name: str, state: object) -> bytes:
    """The extra state as bytes, tensors on the CPU; it is read by this program's own shards."""
    on_cpu = tree_map(lambda value: value.detach().cpu() if isinstance(value, Tensor) else value, state)
    try:
        return pickle.dumps(on_cpu)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        found = f"extra state {name!r} that can't be pickled ({error})"
        raise BadWeights(found, "values", "leave locks, open files and functions out of get_extra_state") from None


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
