"""Models of clips: PSLA (Gong, Chung and Glass, arXiv 2102.01243), and a small one for CPUs.

PSLA is built on torchvision's EfficientNet, which pads symmetrically and uses BatchNorm's defaults; the authors'
uses TensorFlow's padding and constants. Weights are random unless a checkpoint is given.
"""

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from negsift.common.data.audio.config import ClipForm
from negsift.common.errors import BadInput, UnknownName
from negsift.common.models.attention import AttentionHead
from negsift.common.models.checkpoint import load_weights
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.config import CLIP_MODELS, ModelConfig
from negsift.common.models.encoders import use_channels_last
from negsift.common.rng import stream_key

_SHRINK = 32
_SAME, _LEAST = 1e-3, 0.1
"""In units of standardised features: differences below the first count as 0, deviations are raised by the second."""


class Psla(nn.Module):
    """EfficientNet-B2 without its classifier, on a one-channel picture: (N, 1056, 128) to time steps (N, 33, 1408)."""

    def __init__(self, _: ClipForm) -> None:
        super().__init__()
        from torchvision.models import efficientnet_b2  # imported here, as in `encoders`

        self.features = efficientnet_b2(weights=None).features
        self.features[0][0] = nn.Conv2d(1, 32, kernel_size=3, stride=2, padding=1, bias=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Features of every time step. Frequency is the picture's height; the result is its mean over frequency."""
        picture = clips.unsqueeze(1).transpose(2, 3).contiguous(memory_format=torch.channels_last)
        steps: Tensor = self.features(picture).mean(2).transpose(1, 2)
        return steps


class BandNorm(nn.Module):
    """Subtracts each mel band's mean over time and divides by its deviation, which removes stationary noise. Frames
    with equal values in all bands are silence or padding: they are ignored, and become 0.
    """

    def forward(self, clips: Tensor) -> Tensor:
        """(N, frames, mels) to the same shape."""
        real_NT1 = (clips.amax(2, keepdim=True) - clips.amin(2, keepdim=True) > _SAME).to(clips.dtype)
        count = real_NT1.sum(1, keepdim=True).clamp(min=1)
        centred = (clips - (clips * real_NT1).sum(1, keepdim=True) / count) * real_NT1
        deviation = (centred.square().sum(1, keepdim=True) / count).sqrt()
        return centred / (deviation + _LEAST)


class SmallCnn(nn.Module):
    """Five convolutions, the last one over the whole frequency axis: (N, frames, mels) to (N, frames / 256, 128). Each
    sixteen steps are reduced to their maximum. A mean would lose an event of half a second, and attention over fewer
    steps learns faster.
    """

    def __init__(self, form: ClipForm) -> None:
        super().__init__()
        widths, layers = (1, 16, 32, 64, 96), list[nn.Module]()
        for number, (before, width) in enumerate(pairwise(widths)):
            size = 5 if number == 0 else 3
            layers += [nn.Conv2d(before, width, size, 2, size // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        rows = -(-form.mels // 2 ** len(widths[1:]))
        layers += [nn.Conv2d(96, 128, (rows, 3), padding=(0, 1), bias=False), nn.BatchNorm2d(128), nn.ReLU()]
        self.bands, self.features = BandNorm(), nn.Sequential(*layers)
        self.largest = nn.MaxPool1d(16, ceil_mode=True)

    def forward(self, clips: Tensor) -> Tensor:
        """Features of every time step."""
        picture = self.bands(clips).unsqueeze(1).transpose(2, 3).contiguous(memory_format=torch.channels_last)
        steps: Tensor = self.largest(self.features(picture)[:, :, 0]).transpose(1, 2)
        return steps


CLIP_ENCODERS: dict[str, tuple[Callable[[ClipForm], nn.Module], int]] = {
    "psla": (Psla, 1408), "small_attention": (SmallCnn, 128),
}  # fmt: skip
"""The encoders of `CLIP_MODELS`, each with its feature size."""


def make_clip_model(config: ModelConfig, form: ClipForm, seed: int, classes: int = 1) -> ClipClassifier:
    """The classifier of clips that `config` names. Its weights depend on `seed` only, or are read from the file
    `config.weights`; the global generator stays as it was. Raises UnknownName for a model, BadInput for clips that are
    too small, BadWeights for a file that does not fit.
    """
    if config.name not in CLIP_MODELS:
        raise UnknownName("model for clips", config.name, CLIP_MODELS)
    if min(form.frames, form.mels) < _SHRINK:
        found = f"clips of {form.frames} frames x {form.mels} mel bands"
        raise BadInput(found, f"at least {_SHRINK} of each", "raise data.audio.mels or data.audio.frames")
    make, size = CLIP_ENCODERS[config.name]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_key(seed, "weights") >> 1)
        model = ClipClassifier(form, make(form), AttentionHead(size, classes))
    if config.weights is not None:
        load_weights(model, Path(os.path.expanduser(config.weights)))
    return use_channels_last(model)
