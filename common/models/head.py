"""The head of a user's module: its last linear layer, and what goes through it in a forward pass."""

import threading
from dataclasses import dataclass

from torch import Tensor, nn

from negsift.common.errors import BadModel


class HeadRecord(threading.local):
    """The inputs and outputs of the head in this thread's last forward pass; a copy starts empty."""

    inputs: Tensor | None = None
    outputs: Tensor | None = None

    def keep(self, _: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        """A forward hook of the head."""
        self.inputs, self.outputs = inputs[0], outputs

    def clear(self) -> None:
        """Forget the last pass."""
        self.inputs = self.outputs = None

    def __reduce__(self) -> tuple[type["HeadRecord"], tuple[()]]:
        return HeadRecord, ()


@dataclass(frozen=True)
class ForwardPass:
    """Bag `logits` (N, K), and the `inputs` of the head (N, n, D), n being 1 where it reads bags.

    `linear` says that the logits are the head's outputs or their mean, so that they follow from the mean input.
    """

    logits: Tensor
    inputs: Tensor
    linear: bool


def find_head(module: nn.Module, name: str | None) -> nn.Linear:
    """The linear layer called `name`, or the last one of the module. Raises BadModel if there is none."""
    layers = {key: part for key, part in module.named_modules() if isinstance(part, nn.Linear)}
    if not layers:
        raise BadModel(f"no nn.Linear in {type(module).__name__}", "a linear last layer", "pass a model with one")
    if name is None:
        return list(layers.values())[-1]
    if name not in layers:
        raise BadModel(f"no linear layer {name!r}", f"one of {', '.join(layers)}", "correct head=")
    return layers[name]
