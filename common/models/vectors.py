"""Encoders of instances that are feature vectors, and models of them."""

from collections.abc import Callable

from torch import nn

from negsift.common.errors import UnknownName
from negsift.common.models.bag import BagClassifier
from negsift.common.models.config import VECTOR_MODELS, ModelConfig
from negsift.common.models.encoders import make_classifier

_HIDDEN = 128


def linear(width: int) -> tuple[nn.Module, int]:
    """The identity, and `width` features."""
    return nn.Identity(), width


def mlp(width: int) -> tuple[nn.Module, int]:
    """One hidden layer, and its 128 features."""
    return nn.Sequential(nn.Linear(width, _HIDDEN), nn.ReLU()), _HIDDEN


VECTOR_ENCODERS: dict[str, Callable[[int], tuple[nn.Module, int]]] = {"linear": linear, "mlp": mlp}
"""The encoders of `VECTOR_MODELS`: from the width of an instance to the encoder and its feature size."""


def make_vector_model(config: ModelConfig, width: int, seed: int) -> BagClassifier:
    """The classifier of two classes that `config` names, for instances of `width` features, which are not normalised.
    Its weights are random and depend on `seed` only; the global generator stays as it was. Raises UnknownName.
    """
    if config.name not in VECTOR_MODELS:
        raise UnknownName("model for feature vectors", config.name, VECTOR_MODELS)
    return make_classifier(config, lambda: VECTOR_ENCODERS[config.name](width), seed)
