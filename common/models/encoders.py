"""Models of images (SimpleCNN and ResNet18, as in section 5.1.2 of Shah et al., arXiv 2309.13227) and of vectors."""

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from negsift.common.errors import BadInput, UnknownName
from negsift.common.models.bag import BagClassifier
from negsift.common.models.config import MODELS, VECTOR_MODELS, ModelConfig
from negsift.common.models.pooled_conv import PooledConv
from negsift.common.models.pooling import make_pooling
from negsift.common.rng import stream_key

M = TypeVar("M", bound=nn.Module)
_COLOUR = ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
_GREY = ((0.5,), (0.5,))
_IN_CACHE = 64 * 3 * 32 * 32
"""Numbers that a CPU normalises at a time, 64 images of CIFAR-10: they take 786 kB, which its cache holds."""


class Normalise(nn.Module):
    """Maps uint8 (M, C, H, W) to float32, normalised by CIFAR-10's statistics, or 0.5 twice for grey."""

    scale: Tensor
    shift: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (_COLOUR if channels == 3 else _GREY))
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(x / 255 - mean) / std in the dtype of `scale`, channels last, in which convolutions are fastest."""
        if images.device.type != "cpu" or torch.compiler.is_compiling():
            return self._normalised(images).contiguous(memory_format=torch.channels_last)
        out = torch.empty(images.shape, dtype=self.scale.dtype, memory_format=torch.channels_last)
        step = max(1, _IN_CACHE // math.prod(images.shape[1:]))
        for start in range(0, len(images), step):
            part = slice(start, start + step)
            out[part] = self._normalised(images[part])
        return out

    def _normalised(self, images: Tensor) -> Tensor:
        return images.to(self.scale.dtype, copy=True).mul_(self.scale).add_(self.shift)


def simple_cnn(shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    """PyTorch's CIFAR tutorial network without its last layer, for images (C, H, W), and its 84 features. Raises
    BadInput for images smaller than 16x16.
    """
    channels, height, width = shape
    rows, columns = ((height - 4) // 2 - 4) // 2, ((width - 4) // 2 - 4) // 2
    if min(rows, columns) < 1:
        raise BadInput(f"images of {height}x{width}", "16x16 or larger", "raise data.image_size")
    encoder = nn.Sequential(
        PooledConv(channels, 6, 5), nn.Identity(), nn.ReLU(),  # Identity: so that weights keep their names
        nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * rows * columns, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
    )  # fmt: skip
    return encoder, 84


def resnet_18(shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    """torchvision's ResNet18 with the CIFAR stem (3x3, stride 1, no max-pooling), and its 512 features."""
    from torchvision.models import resnet18  # imported here, as in `psla`: it takes seconds, in every scorer

    net = resnet18(weights=None)
    net.conv1 = nn.Conv2d(shape[0], 64, 3, 1, 1, bias=False)
    net.maxpool, net.fc = nn.Identity(), nn.Identity()
    return net, 512


def linear(width: int) -> tuple[nn.Module, int]:
    """The identity, and `width` features."""
    return nn.Identity(), width


def mlp(width: int, hidden: int = 128) -> tuple[nn.Module, int]:
    """One hidden layer, and its `hidden` features."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU()), hidden


ENCODERS: dict[str, Callable[[tuple[int, int, int]], tuple[nn.Module, int]]] = {
    "simple_cnn": simple_cnn,
    "resnet18": resnet_18,
}
"""The encoders of `MODELS`: from the shape of an instance (C, H, W) to the encoder and its feature size."""
VECTOR_ENCODERS: dict[str, Callable[[int], tuple[nn.Module, int]]] = {"linear": linear, "mlp": mlp}
"""The encoders of `VECTOR_MODELS`: from the width of an instance to the encoder and its feature size."""


def make_model(config: ModelConfig, shape: tuple[int, int, int], seed: int) -> BagClassifier:
    """The classifier of two classes that `config` names, for instances of `shape` (C, H, W). Its weights are random and
    depend on `seed` only; the global generator stays as it was. Raises UnknownName.
    """
    if config.name not in MODELS:
        raise UnknownName("model", config.name, MODELS)

    def normalised() -> tuple[nn.Module, int]:
        encoder, size = ENCODERS[config.name](shape)
        return nn.Sequential(Normalise(shape[0]), encoder), size

    return use_channels_last(make_classifier(config, normalised, seed))


def make_vector_model(config: ModelConfig, width: int, seed: int) -> BagClassifier:
    """As `make_model`, for instances of `width` features, which are not normalised."""
    if config.name not in VECTOR_MODELS:
        raise UnknownName("model for feature vectors", config.name, VECTOR_MODELS)
    return make_classifier(config, lambda: VECTOR_ENCODERS[config.name](width), seed)


def make_classifier(config: ModelConfig, make: Callable[[], tuple[nn.Module, int]], seed: int) -> BagClassifier:
    """The classifier of two classes on the encoder that `make` returns with its feature size; weights by `seed`."""
    if config.weights is not None:
        raise BadInput(f"model.weights with {config.name}", "a model of clips", "leave model.weights alone")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_key(seed, "weights") >> 1)
        encoder, size = make()
        pooling = make_pooling(config.pooling, size)
        model = BagClassifier(encoder, nn.Linear(size, 2), pooling)
        if config.init == "kaiming":
            initialise_kaiming(model)
        return model


def initialise_kaiming(model: BagClassifier) -> None:
    """Draw the weights of the encoder's layers, for ReLUs after them, and set all biases and the head to 0."""
    for layer in model.encoder.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)


def use_channels_last(model: M) -> M:
    """Lay out all four-dimensional weights of `model` channels last, in place: convolutions are fastest in this layout.

    Like `model.to(memory_format=torch.channels_last)`, for which torch has no type stub.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return model
