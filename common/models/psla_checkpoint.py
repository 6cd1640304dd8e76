"""PSLA's own checkpoints (github.com/YuanGongND/psla), whose EfficientNet-B2 is efficientnet_pytorch's.

Its layers have other names, BatchNorm other constants, and two convolutions pad at the end only, as
TensorFlow does. With all three taken over, our network says of a clip what theirs says. Nothing here reads files.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

_REPEATS = (2, 3, 3, 4, 4, 5, 2)
_PLACES = [(stage, at) for stage, count in enumerate(_REPEATS, 1) for at in range(count)]
"""Stage of torchvision's B2, and place in it, of each of their blocks, which they number through."""
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


def is_authors(given: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of efficientnet_pytorch, with PSLA's head or ImageNet's."""
    return not {"effnet._conv_stem.weight", "_conv_stem.weight"}.isdisjoint(given)


def renamed(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under our names; the heads' convolutions become one matrix each, ImageNet's classifier goes.

    Names that are not theirs stay as they are.
    """
    kept = {name: value for name, value in given.items() if "_fc." not in name and not name.startswith("attention.")}
    return {_ours(name): value for name, value in kept.items()} | _head(given)


def pad_as_authors(encoder: nn.Module) -> None:
    """Make BatchNorm and padding of our EfficientNet-B2 theirs.

    Theirs is fixed for pictures of 260 pixels, which only the stem and the second stage halve from an even size:
    all of the padding is at the end there. Only so are their weights worth anything to us.
    """
    for place in ("features.0.0", "features.2.0.block.1.0"):
        conv = encoder.get_submodule(place)
        assert isinstance(conv, nn.Conv2d)
        encoder.set_submodule(place, _PadsTheEnd(conv))
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps, part.momentum = _BATCH_NORM["eps"], _BATCH_NORM["momentum"]


class _PadsTheEnd(nn.Conv2d):
    """A 3x3 convolution of stride 2 without bias that sees no row before the first, but one after the last."""

    def __init__(self, like: nn.Conv2d) -> None:
        super().__init__(like.in_channels, like.out_channels, 3, 2, groups=like.groups, bias=False)

    def forward(self, picture: Tensor) -> Tensor:
        return super().forward(pad(picture, (0, 1, 0, 1)))


def _ours(name: str) -> str:
    match = _NAME.fullmatch(name)
    if match is None:
        return name
    if match["block"] is None:
        top = _TOP.get(match["layer"])
        return name if top is None else f"encoder.features.{top}.{match['value']}"
    number, layer = int(match["block"]), _LAYERS.get(match["layer"])
    if number >= len(_PLACES) or layer is None:
        return name
    stage, at = _PLACES[number]
    place = layer[0] - (stage == 1)  # the first stage expands nothing
    return f"encoder.features.{stage}.{at}.block.{place}.{layer[1]}.{match['value']}"


def _head(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """PSLA's heads, each (K, D, 1, 1), as our (H·K, D)."""
    parts: dict[str, list[Tensor]] = {}
    for name in sorted(given):
        match = _HEAD.fullmatch(name)
        if match is not None:
            value = given[name]
            ours = f"head.{_HEADS[match['side']]}.{match['value']}"
            parts.setdefault(ours, []).append(value.flatten(1) if value.ndim > 1 else value)
    weight = {"head.head_weight": given[_WEIGHT]} if _WEIGHT in given else {}
    return weight | {ours: torch.cat(values) for ours, values in parts.items()}
