"""PSLA's own checkpoints: their names found by walking over torchvision's modules, their padding by hooks."""

import copy
import functools
import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torchvision.models.efficientnet import MBConv

from negsift.common.data.audio.config import ClipForm
from negsift.common.errors import BadWeights
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.config import ModelConfig
from negsift.common.models.psla import make_clip_model

FORM = ClipForm(96, 64, 0.0, 1.0)
EXPANDING = ["_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_se_reduce", "_se_expand", "_project_conv", "_bn2"]


def psla(weights: Path | None = None, classes: int = 1, name: str = "psla") -> ClipClassifier:
    given = None if weights is None else str(weights)
    return make_clip_model(ModelConfig(name, weights=given), FORM, 3, classes).eval()


@functools.cache
def original() -> ClipClassifier:
    """One model for the tests that only read it."""
    return psla()


def layers(block: nn.Module) -> list[nn.Module]:
    """The layers of a block that have weights, in order."""
    return [part for part in block.modules() if isinstance(part, nn.Conv2d | nn.BatchNorm2d)]


def state_of_authors(model: ClipClassifier) -> dict[str, Tensor]:
    """The model's weights as efficientnet_pytorch and PSLA call them."""
    encoder = model.encoder.features
    named = dict(
        zip(["_conv_stem", "_bn0", "_conv_head", "_bn1"], layers(encoder[0]) + layers(encoder[-1]), strict=True)
    )
    for number, block in enumerate(part for part in encoder.modules() if isinstance(part, MBConv)):
        found = layers(block)
        named |= {f"_blocks.{number}.{name}": part for name, part in zip(EXPANDING[-len(found) :], found, strict=True)}
    state = {f"effnet.{name}.{key}": value for name, part in named.items() for key, value in part.state_dict().items()}
    for name, side in (("att", model.head.attention), ("cla", model.head.classifier)):
        for head, (weight, bias) in enumerate(zip(side.weight.chunk(4), side.bias.chunk(4), strict=True)):
            state |= {
                f"attention.{name}.{head}.weight": weight[:, :, None, None],
                f"attention.{name}.{head}.bias": bias,
            }
    return state | {"attention.head_weight": model.head.head_weight}


def as_authors_compute(model: ClipClassifier) -> ClipClassifier:
    """The model with statistics of its own, their BatchNorm, and their padding where a picture is halved unevenly."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps, part.momentum = 1e-3, 1.0
        if isinstance(part, nn.Conv2d) and part.stride == (2, 2) and part.in_channels in (1, 96):
            part.padding = (0, 0)
            part.register_forward_pre_hook(lambda _, given: (pad(given[0], (0, 1, 0, 1)),))
    with torch.no_grad():
        model.train()(torch.randn(2, FORM.frames, FORM.mels, generator=torch.Generator().manual_seed(0)))
    return model.eval()


def test_an_authors_checkpoint_answers_as_their_network(tmp_path: Path) -> None:
    theirs = as_authors_compute(copy.deepcopy(original()))
    state = state_of_authors(theirs)
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "as_mdl.pth")
    ours, clips = psla(tmp_path / "as_mdl.pth"), torch.randn(2, FORM.frames, FORM.mels)
    with torch.inference_mode():
        torch.testing.assert_close(ours(clips), theirs(clips), rtol=1e-4, atol=1e-5)
    assert state_of_authors(ours).keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in state_of_authors(ours).items())


def test_the_names_are_those_of_the_authors_checkpoints() -> None:
    state = state_of_authors(original())
    assert state["effnet._conv_stem.weight"].shape == (32, 1, 3, 3)
    assert state["effnet._blocks.0._depthwise_conv.weight"].shape == (32, 1, 3, 3)
    assert state["effnet._blocks.22._project_conv.weight"].shape == (352, 2112, 1, 1)
    assert state["effnet._blocks.2._se_reduce.bias"].shape == (4,)
    assert state["attention.att.3.weight"].shape == (1, 1408, 1, 1)
    assert len(state) == 523


def test_a_head_of_other_classes_stays_as_the_model_made_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    theirs = psla(classes=5)
    torch.save(state_of_authors(theirs), tmp_path / "five.pth")
    with caplog.at_level(logging.INFO):
        ours = psla(tmp_path / "five.pth")
    assert torch.equal(ours.head.classifier.weight, original().head.classifier.weight)
    assert torch.equal(ours.encoder.features[8][0].weight, theirs.encoder.features[8][0].weight)
    assert "five.pth: the encoder is used, the head is not" in caplog.text


def test_colours_of_an_imagenet_network_are_summed(tmp_path: Path) -> None:
    state = {
        name.removeprefix("effnet."): value for name, value in state_of_authors(original()).items() if "effnet" in name
    }
    colours = torch.randn(32, 3, 3, 3)
    state |= {"_conv_stem.weight": colours, "_fc.weight": torch.zeros(1000, 1408), "_fc.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "efficientnet-b2.pth")
    assert torch.equal(psla(tmp_path / "efficientnet-b2.pth").encoder.features[0][0].weight[:, 0], colours.sum(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"effnet._blocks.22._bn1.bias": torch.zeros(7)}, r"encoder.features.7.1.block.1.1.bias of shape \(7,\)"),
        ({"effnet._blocks.23._bn1.bias": torch.zeros(7)}, r"effnet._blocks.23._bn1.bias of shape \(7,\).*shape None"),
        ({"effnet._conv_stem.weight": torch.zeros(32)}, r"encoder.features.0.0.weight of shape \(32,\)"),
        ({"effnet._gates.weight": torch.zeros(7)}, r"effnet._gates.weight of shape \(7,\)"),
    ],
)
def test_networks_of_another_size_are_refused(change: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    torch.save(state_of_authors(original()) | change, tmp_path / "other.pth")
    with pytest.raises(BadWeights, match=message):
        psla(tmp_path / "other.pth")


def test_the_small_network_does_not_take_them(tmp_path: Path) -> None:
    torch.save(state_of_authors(original()), tmp_path / "as_mdl.pth")
    with pytest.raises(BadWeights, match=r"encoder.features.0.0.weight of shape \(32, 1, 3, 3\).*expected shape None"):
        psla(tmp_path / "as_mdl.pth", name="small_attention")
