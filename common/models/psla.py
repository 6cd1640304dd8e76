"""The table of models for clips: PSLA (Gong, Chung and Glass, arXiv 2102.01243), and a small one for CPUs.

PSLA here has torchvision's EfficientNet, which pads symmetrically and keeps BatchNorm's defaults, where
the authors' has TensorFlow's padding. Its weights are random unless a checkpoint is given.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import efficientnet_b2

from common.data.audio.config import ClipForm
from common.errors import BadInput, UnknownName
from common.models.attention import AttentionHead
from common.models.checkpoint import load_weights
from common.models.clip import ClipClassifier
from common.models.encoders import ModelConfig
from common.rng import stream_key

_SHRINK = 32


class Psla(nn.Module):
    """EfficientNet-B2 without its classifier on a one-channel picture: (N, 1056, 128) to steps (N, 33, 1408)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = efficientnet_b2(weights=None).features
        self.features[0][0] = nn.Conv2d(1, 32, kernel_size=3, stride=2, padding=1, bias=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Frequency is the picture's height and is averaged away at the end."""
        picture = clips.unsqueeze(1).transpose(2, 3).contiguous(memory_format=torch.channels_last)
        steps: Tensor = self.features(picture).mean(2).transpose(1, 2)
        return steps


class SmallCnn(nn.Module):
    """Five convolutions, four of them with stride 2: (N, frames, mels) to steps (N, frames / 16, 128)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 16, 32, 64, 96, 128)
        layers: list[nn.Module] = []
        for number, (before, width) in enumerate(pairwise(widths)):
            size, stride = (5 if number == 0 else 3), (1 if width == widths[-1] else 2)
            layers += [nn.Conv2d(before, width, size, stride, size // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.features = nn.Sequential(*layers)

    def forward(self, clips: Tensor) -> Tensor:
        """The mean and the largest over frequency are added, for every step."""
        picture = clips.unsqueeze(1).transpose(2, 3).contiguous(memory_format=torch.channels_last)
        feats_NDFT = self.features(picture)
        steps: Tensor = (feats_NDFT.mean(2) + feats_NDFT.amax(2)).transpose(1, 2)
        return steps


CLIP_MODELS: dict[str, tuple[Callable[[], nn.Module], int, str]] = {
    "psla": (Psla, 1408, "EfficientNet-B2 and four-headed attention over 33 time steps, 7,711,694 parameters"),
    "small_attention": (SmallCnn, 128, "five convolutions and the same attention, for CPUs, about 190,000 parameters"),
}


def make_clip_model(config: ModelConfig, form: ClipForm, seed: int, classes: int = 1) -> ClipClassifier:
    """The classifier of clips that `config` names, two-sided as `ClipClassifier` says.

    Its weights depend on `seed` alone, unless `config.weights` names a file for them; the global
    generator is left as it was. Raises UnknownName for a model, BadInput for clips that are too small,
    BadWeights for a file that doesn't fit.
    """
    if config.name not in CLIP_MODELS:
        raise UnknownName("model for clips", config.name, CLIP_MODELS)
    if min(form.frames, form.mels) < _SHRINK:
        raise BadInput(
            f"clips of {form.frames} frames x {form.mels} mel bands", f"{_SHRINK} or more of each",
            "raise --set data.audio.mels, or data.audio.seconds",
        )  # fmt: skip
    make, size, _ = CLIP_MODELS[config.name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_key(seed, "weights") >> 1)
        model = ClipClassifier(form, make(), AttentionHead(size, classes))
    if config.weights is not None:
        load_weights(model, Path(config.weights).expanduser())
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # torch's stub
