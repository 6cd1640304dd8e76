"""The convolution with its pooling: the bits of two layers, and their gradients."""

import pytest
import torch
from torch import nn

from negsift.common.models.pooled_conv import PooledConv


@pytest.mark.parametrize("count", [1, 5, 64])
@pytest.mark.parametrize(("channels", "outputs"), [(3, 6), (1, 6), (3, 8), (3, 16)])
@pytest.mark.parametrize("shape", [(32, 32), (28, 28), (17, 20)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_gives_the_bits_of_two_layers(
    count: int, channels: int, outputs: int, shape: tuple[int, int], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    layer = PooledConv(channels, outputs, 5)
    images = torch.randn(count, channels, *shape).contiguous(memory_format=layout)
    images[0, 0, 3, 4] = float("nan")
    two = nn.Sequential(nn.Conv2d(channels, outputs, 5), nn.MaxPool2d(2))
    two[0].load_state_dict(layer.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(layer(images), two(images), rtol=0, atol=0, equal_nan=True)
    for module in (layer, two):
        module(images[1:]).square().sum().backward()
    assert layer.weight.grad is not None
    assert torch.equal(layer.weight.grad, two[0].weight.grad)
