"""Weights from a file: those of the model itself, or torchvision's."""

import dataclasses
import os
from pathlib import Path

import pytest
import torch
from torchvision.models import efficientnet_b2

from negsift.common.data.audio.config import ClipForm
from negsift.common.errors import BadInput, BadWeights
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.common.models.psla import make_clip_model

FORM = ClipForm(96, 64, 0.0, 1.0)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_of_the_model_are_taken_instead_of_random_ones(prefix: str, tmp_path: Path) -> None:
    config = ModelConfig("small_attention", weights=str(tmp_path / "weights.pt"))
    wanted = make_clip_model(dataclasses.replace(config, weights=None), FORM, seed=5).state_dict()
    torch.save({f"{prefix}{name}": value for name, value in wanted.items()}, tmp_path / "weights.pt")
    found = make_clip_model(config, FORM, seed=0).state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_an_imagenet_network_sees_a_spectrogram_in_grey(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        network = efficientnet_b2(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "b2.pth")
    model = make_clip_model(ModelConfig("psla", weights=str(tmp_path / "b2.pth")), FORM, 0).eval()
    clips = torch.randn(1, 96, 64)
    with torch.inference_mode():
        expected = network.features(clips.transpose(1, 2)[:, None].expand(-1, 3, -1, -1)).mean(2).transpose(1, 2)
        torch.testing.assert_close(model.encoder(clips), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.zeros(2)}, "a of shape \\(2,\\).*expected shape None"),
        ({"a": 1}, "not a mapping of names to tensors"),
        ([1, 2], "not a mapping of names to tensors"),
        (None, "unreadable"),
    ],
)
def test_weights_that_do_not_fit_are_refused(content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_text("no weights") if content is None else torch.save(content, path)
    with pytest.raises(BadWeights, match=message):
        make_clip_model(ModelConfig("small_attention", weights=str(path)), FORM, 0)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    weights = make_clip_model(ModelConfig("small_attention"), FORM, seed=0).state_dict()
    torch.save(weights | {"head.classifier.bias": torch.full((4,), torch.nan)}, path)
    with pytest.raises(BadWeights, match="head.classifier.bias not finite in .*weights.pt"):
        make_clip_model(ModelConfig("small_attention", weights=str(path)), FORM, 0)


@pytest.mark.parametrize("target", ["/dev/zero", "pipe", "nowhere"])
def test_weights_in_no_regular_file_are_refused(target: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "weights.pt").symlink_to(tmp_path / target)
    with pytest.raises(BadWeights, match="(a device at|a named pipe at|) .*weights.pt"):
        make_clip_model(ModelConfig("small_attention", weights=str(tmp_path / "weights.pt")), FORM, 0)


def test_models_of_images_take_no_file() -> None:
    with pytest.raises(BadInput, match="model.weights with simple_cnn; expected a model of clips"):
        make_model(ModelConfig(weights="x.pt"), (3, 32, 32), 0)
