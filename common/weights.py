"""State dicts as numpy arrays: checked, named by a hash of their content, and ready for other processes."""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from negsift.common.errors import BadWeights
from negsift.common.types import Snapshot

Weights = Mapping[str, Tensor | NDArray[np.generic]]


def take_snapshot(weights: Weights, version: int) -> Snapshot:
    """A copy of `weights`, which later training steps do not change. Raises BadWeights for anything but a state dict,
    and if a floating-point entry is not finite.
    """
    if not isinstance(weights, Mapping):
        raise BadWeights(f"weights of type {type(weights).__name__}", "a state dict", "pass model.state_dict()")
    arrays = {name: _to_numpy(value) for name, value in weights.items()}
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
    # torch.tensor copies: the arrays may be read-only views of memory that processes share
    model.load_state_dict({name: torch.tensor(value) for name, value in snapshot.weights.items()})


def _misfit(name: str, expected: Mapping[str, tuple[int, ...]], published: Mapping[str, tuple[int, ...]]) -> BadWeights:
    """The error for an entry that is missing, unknown or of another shape."""
    remedy = "publish the state_dict of the model the sampler was given"
    wrapped = [other for other in published if other.endswith(f".{name}") and other not in expected]
    if wrapped:
        inner = wrapped[0].removesuffix(f".{name}")
        return BadWeights(f"weights {wrapped[0]!r}", repr(name), f"{remedy}: of model.{inner}, inside the wrapper")
    found = f"weights {name!r} of shape {published[name]}" if name in published else f"no weights {name!r}"
    return BadWeights(found, f"shape {expected[name]}" if name in expected else "no such entry", remedy)


def _to_numpy(value: Tensor | NDArray[np.generic]) -> NDArray[np.generic]:
    if isinstance(value, Tensor):
        cpu = value.detach().cpu()
        return (cpu.float() if cpu.dtype == torch.bfloat16 else cpu).numpy().copy()
    return np.array(value)


def _require_finite(name: str, array: NDArray[np.generic]) -> None:
    bad = array.size - np.isfinite(array).sum() if np.issubdtype(array.dtype, np.floating) else 0
    if bad:
        found = f"{bad} of {array.size} values of {name!r} not finite"
        remedy = "training diverged: lower the learning rate or resume from an earlier checkpoint"
        raise BadWeights(found, "finite weights", remedy)
