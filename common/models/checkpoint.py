"""Weights to begin with, from a file: a state dict of the whole model, or torchvision's EfficientNet-B2."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from common.errors import BadWeights

_STEM = "features.0.0.weight"
_REMEDY = "give a state dict of this model or of torchvision's efficientnet_b2, or leave model.weights alone"


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the weights at `path` into `model`; an ImageNet network goes into its encoder, without its classifier.

    The stem's three colour channels are summed into one, which is what it would say of a grey picture.
    Raises BadWeights if the file can't be read or doesn't fit.
    """
    given = _read(path)
    target, prefix = model, ""
    if _STEM in given:
        given = {name: value for name, value in given.items() if name.startswith("features.")}
        given[_STEM] = given[_STEM].sum(1, keepdim=True)
        target, prefix = model.get_submodule("encoder"), "encoder."
    wanted = target.state_dict()
    for name in sorted({*given, *wanted}):
        found, expected = (tuple(values[name].shape) if name in values else None for values in (given, wanted))
        if found != expected:
            raise BadWeights(f"{prefix}{name} of shape {found} in {path}", f"shape {expected}", _REMEDY)
    target.load_state_dict(given)


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, by name, `module.` of a DataParallel taken off."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise BadWeights(f"{path} unreadable ({error})", "a state dict", _REMEDY) from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BadWeights(f"{path} with something else than tensors by name", "a state dict", _REMEDY)
    return {str(name).removeprefix("module."): value for name, value in state.items()}
