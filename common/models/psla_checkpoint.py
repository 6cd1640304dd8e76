"""Checkpoints of PSLA's authors (github.com/YuanGongND/psla), whose EfficientNet-B2 is that of efficientnet_pytorch.

Its layers have other names, its BatchNorm has other constants, and two of its convolutions pad only at the end, as
TensorFlow does. With all three adopted, our network computes what theirs does. Nothing here reads files.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

_REPEATS = (2, 3, 3, 4, 4, 5, 2)
_PLACES = [(stage, block) for stage, count in enumerate(_REPEATS, 1) for block in range(count)]
"""The stage of torchvision's B2 and the block in it, for each of their blocks, which have consecutive numbers."""
_TOP = {"_conv_stem": "0.0", "_bn0": "0.1", "_conv_head": "8.0", "_bn1": "8.1"}
_LAYERS = {
    "_expand_conv": (0, "0"), "_bn0": (0, "1"), "_depthwise_conv": (1, "0"), "_bn1": (1, "1"),
    "_se_reduce": (2, "fc1"), "_se_expand": (2, "fc2"), "_project_conv": (3, "0"), "_bn2": (3, "1"),
}  # fmt: skip
_NAME = re.compile(r"(?:effnet\.)?(?:_blocks\.(?P<block>\d+)\.)?(?P<layer>_\w+)\.(?P<value>\w+)")
_HEADS = {"att": "attention", "cla": "classifier"}
_HEAD = re.compile(r"attention\.(?P<side>att|cla)\.\d\.(?P<value>weight|bias)")
_WEIGHT = "attention.head_weight"
_BATCH_NORM = {"eps": 1e-3, "momentum": 0.01}


def is_psla_checkpoint(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of efficientnet_pytorch, with PSLA's head or ImageNet's."""
    return not {"effnet._conv_stem.weight", "_conv_stem.weight"}.isdisjoint(weights)


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under our names, with the convolutions of each head joined into one matrix. ImageNet's classifier is
    left out, and unknown names stay unchanged.
    """
    encoder = {name: part for name, part in weights.items() if "_fc." not in name and not name.startswith("attention.")}
    return {_our_name(name): part for name, part in encoder.items()} | _head(weights)


def use_authors_padding(encoder: nn.Module) -> None:
    """Give our EfficientNet-B2 the BatchNorm constants and the padding that their weights were trained with. Their
    padding is computed for pictures of 260 pixels. Of these, only the stem and the second stage halve an even size, for
    which TensorFlow's "same" padding is at the end only.
    """
    for place in ("features.0.0", "features.2.0.block.1.0"):
        conv = encoder.get_submodule(place)
        assert isinstance(conv, nn.Conv2d)
        encoder.set_submodule(place, _EndPaddedConv(conv))
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps, part.momentum = _BATCH_NORM["eps"], _BATCH_NORM["momentum"]


class _EndPaddedConv(nn.Conv2d):
    """A 3x3 convolution of stride 2 without bias, padded by one row and column at the end and none at the start."""

    def __init__(self, like: nn.Conv2d) -> None:
        super().__init__(like.in_channels, like.out_channels, 3, 2, groups=like.groups, bias=False)

    def forward(self, picture: Tensor) -> Tensor:
        return super().forward(pad(picture, (0, 1, 0, 1)))


def _our_name(name: str) -> str:
    match = _NAME.fullmatch(name)
    if match is None:
        return name
    if match["block"] is None:
        top = _TOP.get(match["layer"])
        return name if top is None else f"encoder.features.{top}.{match['value']}"
    number, layer = int(match["block"]), _LAYERS.get(match["layer"])
    if number >= len(_PLACES) or layer is None:
        return name
    stage, block = _PLACES[number]
    place = layer[0] - (stage == 1)  # blocks of the first stage have no expansion layer
    return f"encoder.features.{stage}.{block}.block.{place}.{layer[1]}.{match['value']}"


def _head(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """PSLA's H heads, each (K, D, 1, 1), as our matrices (H·K, D)."""
    parts: dict[str, list[Tensor]] = {}
    for name in sorted(weights):
        match = _HEAD.fullmatch(name)
        if match is not None:
            value = weights[name]
            our_name = f"head.{_HEADS[match['side']]}.{match['value']}"
            parts.setdefault(our_name, []).append(value.flatten(1) if value.ndim > 1 else value)
    head_weight = {"head.head_weight": weights[_WEIGHT]} if _WEIGHT in weights else {}
    return head_weight | {our_name: torch.cat(values) for our_name, values in parts.items()}
