"""Models for feature vectors."""

import numpy as np
import pytest
import torch

from negsift.common.data.bagset import BagBatch
from negsift.common.errors import BadInput, UnknownName
from negsift.common.models.config import VECTOR_MODELS, ModelConfig
from negsift.common.models.encoders import make_vector_model


@pytest.mark.parametrize("name", VECTOR_MODELS)
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    bags = BagBatch(torch.randn(5, 7), np.array([2, 3]))
    state = torch.random.get_rng_state()
    one, again, other = (make_vector_model(ModelConfig(name=name), 7, seed)(bags) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert one.shape == (2, 2)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_linear_is_logistic_regression_of_the_mean() -> None:
    model, features = make_vector_model(ModelConfig(name="linear"), 4, 0), torch.randn(3, 4)
    expected = torch.nn.functional.linear(features.mean(0, keepdim=True), model.head.weight, model.head.bias)
    torch.testing.assert_close(model(BagBatch(features, np.array([3]))), expected)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ModelConfig(name="resnet18"), "model for feature vectors 'resnet18'; expected one of linear, mlp"),
        (ModelConfig(name="mlp", weights="x.pt"), "model.weights with mlp; expected a model of clips"),
    ],
)
def test_unusable_models_are_reported(config: ModelConfig, message: str) -> None:
    with pytest.raises((BadInput, UnknownName), match=message):
        make_vector_model(config, 4, 0)
