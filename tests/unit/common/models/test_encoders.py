"""The table of models: sizes, seeds, limits."""

import numpy as np
import pytest
import torch

from negsift.common.errors import BadInput, UnknownName
from negsift.common.models.config import POOLINGS, ModelConfig
from negsift.common.models.encoders import ENCODERS, Normalise, make_model
from tests.unit.toys import cnn


def test_simple_cnn_has_the_parameters_of_the_paper() -> None:
    model = make_model(ModelConfig(), (3, 32, 32), seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 61_326
    assert (model.head.in_features, model.head.out_features) == (84, 2)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 16, 16), (1, 16, 24)])
def test_simple_cnn_gives_two_logits_a_bag(pooling: str, shape: tuple[int, int, int]) -> None:
    model = make_model(ModelConfig(pooling=pooling), shape, seed=0)
    assert model(torch.zeros(2, 3, *shape, dtype=torch.uint8)).shape == (2, 2)


def test_resnet18_gives_512_features_and_two_logits() -> None:
    model = make_model(ModelConfig("resnet18"), (1, 8, 8), seed=0).eval()
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    with torch.inference_mode():
        assert model.encoder(images).shape == (2, 512)
        assert model(images[None]).shape == (1, 2)


def test_resnet18_has_the_stem_for_small_images() -> None:
    encoder, _ = ENCODERS["resnet18"]((3, 32, 32))
    assert encoder.conv1.weight.shape == (64, 3, 3, 3)  # type: ignore[union-attr]  # a ResNet
    assert encoder.layer1(encoder.maxpool(encoder.conv1(torch.zeros(1, 3, 32, 32)))).shape[-2:] == (32, 32)  # type: ignore[operator]  # the same


@pytest.mark.parametrize("pooling", POOLINGS)
def test_weights_are_a_function_of_the_seed(pooling: str) -> None:
    one, again, other = (cnn(pooling, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ENCODERS)
def test_making_a_model_leaves_the_global_generators_alone(name: str) -> None:
    before = torch.get_rng_state()
    make_model(ModelConfig(name), (3, 16, 16), seed=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(3, 15, 15), (3, 32, 15), (1, 8, 8)])
def test_image_too_small_is_bad_input(shape: tuple[int, int, int]) -> None:
    with pytest.raises(BadInput, match=rf"images of {shape[1]}x{shape[2]}; expected 16x16 or larger.*data\.image_size"):
        make_model(ModelConfig(), shape, seed=0)


def test_unknown_model_lists_the_models() -> None:
    with pytest.raises(UnknownName, match=r"model 'resnet'.*resnet18, simple_cnn.*did you mean 'resnet18'"):
        make_model(ModelConfig("resnet"), (3, 16, 16), seed=0)


def test_unknown_pooling_lists_the_poolings() -> None:
    with pytest.raises(UnknownName, match=r"pooling 'mean'.*attention, mean_softmax, softmax_max, softmax_mean"):
        make_model(ModelConfig(pooling="mean"), (3, 16, 16), seed=0)


@pytest.mark.parametrize(("count", "side"), [(0, 4), (2, 4), (64, 32), (131, 32), (3, 300)])
def test_images_are_normalised_as_in_the_definition(count: int, side: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.247, 0.2435, 0.2616])
    expected = (images / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(Normalise(3)(torch.from_numpy(images)).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_normalised_images_are_channels_last_and_what_was_given_stays() -> None:
    images = torch.rand(70, 3, 32, 32, requires_grad=True)
    before = images.detach().clone()
    normalise = Normalise(3)
    normalised = normalise(images)
    normalised.sum().backward()
    assert normalised.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(images.detach(), before, rtol=0, atol=0)
    torch.testing.assert_close(images.grad, normalise.scale.expand(70, 3, 32, 32))
