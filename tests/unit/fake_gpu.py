"""A GPU that is not there: tensors with its name, shapes and types, and no numbers. Devices that don't fit are errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

GPU = torch.device("cuda:0")
Model = TypeVar("Model", bound=nn.Module)


@contextmanager
def fake_gpu() -> Iterator[FakeTensorMode]:
    """Within it `.to(GPU)` works; whatever reads a number of such a tensor raises DataDependentOutputException."""
    pinning = patch("torch.Tensor.pin_memory", lambda tensor: tensor)  # which asks the driver
    with pinning, FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def on_fake_gpu(model: Model, mode: FakeTensorMode) -> Model:
    """The model itself with all its tensors there."""

    def there(tensor: Tensor) -> Tensor:
        return mode.from_tensor(tensor.detach()).to(GPU)

    for part in model.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            setattr(part, name, nn.Parameter(there(parameter), parameter.requires_grad))
        for name, buffer in list(part.named_buffers(recurse=False)):
            setattr(part, name, there(buffer))
    return model
