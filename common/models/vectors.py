"""Encoders of instances that are feature vectors already, and the table of models for them."""

from collections.abc import Callable

import torch
from torch import nn

from common.errors import BadInput, UnknownName
from common.models.bag import BagClassifier
from common.models.encoders import ModelConfig
from common.models.pooling import make_pooling
from common.rng import stream_key

_HIDDEN = 128


def linear(width: int) -> tuple[nn.Module, int]:
    """The features as they are."""
    return nn.Identity(), width


def mlp(width: int) -> tuple[nn.Module, int]:
    """One hidden layer of 128."""
    return nn.Sequential(nn.Linear(width, _HIDDEN), nn.ReLU()), _HIDDEN


VECTOR_MODELS: dict[str, tuple[Callable[[int], tuple[nn.Module, int]], str]] = {
    "linear": (linear, "a linear classifier of feature vectors"),
    "mlp": (mlp, f"feature vectors through a hidden layer of {_HIDDEN}"),
}


def make_vector_model(config: ModelConfig, width: int, seed: int) -> BagClassifier:
    """The classifier of two classes that `config` names, for instances of `width` features, which are used as they are.

    Its weights are random and depend on `seed` alone; the global generator is left as it was.
    """
    if config.name not in VECTOR_MODELS:
        raise UnknownName("model for feature vectors", config.name, VECTOR_MODELS)
    if config.weights is not None:
        raise BadInput(f"model.weights with {config.name}", "a model of clips", "leave model.weights alone")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_key(seed, "weights") >> 1)
        encoder, size = VECTOR_MODELS[config.name][0](width)
        return BagClassifier(encoder, nn.Linear(size, 2), make_pooling(config.pooling, size))
