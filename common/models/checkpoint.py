"""Weights to begin with, from a file: a state dict of the whole model, PSLA's own, or ImageNet's EfficientNet-B2."""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from negsift.common.errors import BadWeights
from negsift.common.models.psla_checkpoint import is_authors, pad_as_authors, renamed

log = logging.getLogger(__name__)
_STEM = "features.0.0.weight"
_REMEDY = "give a state dict of this model, of PSLA or of an efficientnet_b2, or leave model.weights alone"


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the weights at `path` into `model`; raises BadWeights if the file can't be read or doesn't fit.

    Of torchvision's EfficientNet-B2 and of `authors`' networks a head of other classes is left out, so that
    the model keeps its own. A stem of three colours is summed into one, which is what it would say of grey.
    """
    given = _read(path)
    theirs, foreign = is_authors(given), is_authors(given) or _STEM in given
    wanted = model.state_dict()
    if foreign:
        given = _one_channel(renamed(given) if theirs else _encoder(given))
        given = _with_head(given, wanted, path)
    for name in sorted({*given, *wanted}):
        found, expected = (tuple(values[name].shape) if name in values else None for values in (given, wanted))
        if found != expected:
            raise BadWeights(f"{name} of shape {found} in {path}", f"shape {expected}", _REMEDY)
        if not given[name].isfinite().all():
            raise BadWeights(f"{name} not finite in {path}", "finite weights", "save them before training diverges")
    if theirs:
        pad_as_authors(model.get_submodule("encoder"))
    model.load_state_dict(given)


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, by name, `module.` of a DataParallel taken off."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise BadWeights(f"{path} unreadable ({reason})", "a state dict", _REMEDY) from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BadWeights(f"{path} with something else than tensors by name", "a state dict", _REMEDY)
    return {str(name).removeprefix("module."): value for name, value in state.items()}


def _encoder(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's network without its classifier, under our names."""
    return {f"encoder.{name}": value for name, value in given.items() if name.startswith("features.")}


def _one_channel(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with the stem's input channels summed."""
    stem = given[f"encoder.{_STEM}"]
    return given | {f"encoder.{_STEM}": stem.sum(1, keepdim=True) if stem.ndim > 1 else stem}


def _with_head(given: dict[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The same with the model's own head, unless there is one of the same shape."""
    head = {name: value for name, value in wanted.items() if name.startswith("head.")}
    if all(name in given and given[name].shape == value.shape for name, value in head.items()):
        return given
    log.info("%s: the encoder is taken, the head is not: it has other classes", path)
    return {name: value for name, value in given.items() if not name.startswith("head.")} | head
