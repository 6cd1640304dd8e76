"""The head of a user's module: its last linear layer, and what goes through it in a forward pass."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from negsift.common.errors import BadModel


class HeadRecord(threading.local):
    """The inputs and outputs of the head in this thread's last forward pass, and how often it was called; a copy starts
    empty.
    """

    inputs: Tensor | None = None
    outputs: Tensor | None = None
    calls: int = 0

    def keep(self, _: nn.Module, inputs: tuple[Tensor, ...], named: Mapping[str, Tensor], outputs: Tensor) -> None:
        """A forward hook of the head, whose input may be named."""
        features = inputs[0] if inputs else next(iter(named.values()))
        self.inputs, self.outputs = features.clone(), outputs.clone()  # the module may write in its own later
        self.calls += 1

    def clear(self) -> None:
        """Forget the last pass."""
        self.inputs, self.outputs, self.calls = None, None, 0

    def __reduce__(self) -> tuple[type["HeadRecord"], tuple[()]]:
        return HeadRecord, ()


@dataclass(frozen=True)
class ForwardPass:
    """Bag `logits` (N, K), and the `inputs` of the head (N, n, D), n being 1 where it reads bags; its `head_columns`.

    `linear` says that the logits are the head's outputs or their mean, so that they follow from the mean input; `calls`
    how often the head was called.
    """

    logits: Tensor
    inputs: Tensor
    linear: bool
    head_columns: int
    calls: int


def find_head(module: nn.Module, name: str | None) -> nn.Module:
    """The linear layer called `name`, or the last one of the module. Raises BadModel if there is none.

    A linear layer with low-rank additions (LoRA) is one layer, under its own name and those of its parts.
    """
    parts = dict(module.named_modules())
    adapted = [key for key, part in parts.items() if key and _has_additions(part)]
    layers = [key for key, part in parts.items() if isinstance(part, nn.Linear) or key in adapted]
    if not layers:
        raise BadModel(f"no nn.Linear in {type(module).__name__}", "a linear last layer", "pass a model with one")
    if name is not None and name not in layers:
        raise BadModel(f"no linear layer {name!r}", f"one of {', '.join(layers)}", "correct head=")
    found = layers[-1] if name is None else name
    head: nn.Module = parts[next((key for key in adapted if found.startswith(f"{key}.")), found)]
    return head


def _has_additions(part: nn.Module) -> bool:
    """Whether the part adds `lora_B(lora_A(x))` to a linear layer, as PEFT's layers and others of that form do."""
    names = {name.lower() for name, _ in (*part.named_children(), *part.named_parameters(recurse=False))}
    return {"lora_a", "lora_b"} <= names
