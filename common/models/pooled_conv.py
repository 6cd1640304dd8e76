"""A convolution and a 2x2 max-pooling after it as one layer, which is quicker on a CPU where it has few channels."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

_WIDEST = 32
"""Channels up to which all four places at once cost less than one after another: oneDNN computes 16 channels at least,
and torch's pooling looks at single numbers.
"""


class PooledConv(nn.Conv2d):
    """`Conv2d(channels, outputs, size)` of stride 1 without padding, then `MaxPool2d(2)`, with the bits of the two.

    Without gradients, on a CPU, one convolution of stride 2 gives the four numbers of each 2x2 place as channels, its
    kernels the same one at four offsets, with zeros around it. With 6 channels of 28x28 that takes half the time.
    """

    def __init__(self, channels: int, outputs: int, size: int) -> None:
        super().__init__(channels, outputs, size)

    def forward(self, images: Tensor) -> Tensor:
        """(M, C, H, W) to (M, outputs, (H - size + 1) // 2, (W - size + 1) // 2)."""
        narrow = images.device.type == "cpu" and 4 * self.out_channels <= _WIDEST
        if not narrow or images.requires_grad or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return max_pool2d(super().forward(images), 2)
        assert self.bias is not None
        places = conv2d(images, _at_four_places(self.weight), self.bias.repeat(4), stride=2)
        upper_left, upper_right, left, right = torch.chunk(places, 4, 1)
        return torch.maximum(torch.maximum(upper_left, upper_right), torch.maximum(left, right))


def _at_four_places(weight: Tensor) -> Tensor:
    """Kernels (O, C, K, K) as (4·O, C, K + 1, K + 1): at offsets 0 and 1 of rows and columns, with zeros around."""
    outputs, channels, rows, columns = weight.shape
    wide = weight.new_zeros(4, outputs, channels, rows + 1, columns + 1)
    for place in range(4):
        row, column = divmod(place, 2)
        wide[place, :, :, row : row + rows, column : column + columns] = weight
    return wide.flatten(0, 1)
