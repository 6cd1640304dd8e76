"""Reads initial weights from a file: a state dict of the model, of the authors' PSLA, or of an EfficientNet-B2."""

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from negsift.common.errors import BadData, BadWeights
from negsift.common.models.psla_checkpoint import is_psla_checkpoint, renamed, use_authors_padding
from negsift.common.torch_file import load_tensors

log = logging.getLogger(__name__)
_STEM = "features.0.0.weight"
_REMEDY = "give a state dict of this model, of PSLA or of efficientnet_b2, or leave model.weights unset"


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the weights at `path` into `model`. Raises BadWeights if the file is unreadable or does not fit. From the
    weights of an EfficientNet-B2 or the authors' PSLA a head of other classes is not taken: the model keeps its own.
    Their stem has three colour channels, which are summed into one, as a grey picture would sum them.
    """
    weights, expected = _read(path), model.state_dict()
    from_authors = is_psla_checkpoint(weights)
    if from_authors or _STEM in weights:
        torchvision = {f"encoder.{name}": value for name, value in weights.items() if name.startswith("features.")}
        weights = _one_channel(renamed(weights) if from_authors else torchvision)  # without its classifier
        weights = _with_head(weights, expected, path)
    _require_fit(weights, expected, path)
    if from_authors:
        use_authors_padding(model.get_submodule("encoder"))
    model.load_state_dict(weights)


def _require_fit(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    for name in sorted({*weights, *expected}):
        shapes = [tuple(values[name].shape) if name in values else None for values in (weights, expected)]
        if shapes[0] != shapes[1]:
            raise BadWeights(f"{name} of shape {shapes[0]} in {path}", f"shape {shapes[1]}", _REMEDY)
        if not weights[name].isfinite().all():
            raise BadWeights(f"{name} not finite in {path}", "finite weights", "save them before training diverges")


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict by name, without the prefix `module.` of a DataParallel."""
    try:
        state = load_tensors(path)
    except BadData as error:
        raise BadWeights(error.found, "a state dict", _REMEDY) from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BadWeights(f"{path}, which is not a mapping of names to tensors", "a state dict", _REMEDY)
    return {str(name).removeprefix("module."): value for name, value in state.items()}


def _one_channel(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights with the input channels of the stem summed."""
    stem = weights[f"encoder.{_STEM}"]
    return weights | {f"encoder.{_STEM}": stem.sum(1, keepdim=True) if stem.ndim > 1 else stem}


def _with_head(weights: dict[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The weights with the model's own head, unless theirs has the same shapes."""
    head = {name: value for name, value in expected.items() if name.startswith("head.")}
    if all(name in weights and weights[name].shape == value.shape for name, value in head.items()):
        return weights
    log.info("%s: the encoder is used, the head is not because it has other classes", path)
    return {name: value for name, value in weights.items() if not name.startswith("head.")} | head
