"""The head of a user's module: its last linear layer, and what goes through it in a forward pass."""

import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from negsift.common.data.bagset import Batch
from negsift.common.errors import BadModel
from negsift.common.some_of import some_of


class HeadRecord(threading.local):
    """The inputs and outputs of the head in this thread's last forward pass, and how often it was called; a copy starts
    empty.
    """

    inputs: Tensor | None = None
    outputs: Tensor | None = None
    calls: int = 0
    wanted: bool = False  # else nothing is kept

    def keep(self, _: nn.Module, inputs: tuple[Tensor, ...], named: Mapping[str, Tensor], outputs: Tensor) -> None:
        """A forward hook of the head, whose input may be named."""
        if not (torch.compiler.is_compiling() or self.wanted):  # compiled code is the same for all passes
            return
        features = inputs[0] if inputs else next(iter(named.values()))
        self.inputs, self.outputs = features.clone(), outputs.clone()  # the module may write in its own later
        self.calls += 1

    def start(self) -> None:
        """Forget the last pass and keep the next one's."""
        self.inputs, self.outputs, self.calls, self.wanted = None, None, 0, True

    def of_bags(self, batch: Batch, count: int) -> "HeadPass | None":
        """What went through the head, by bag; None where it wasn't called. Raises BadModel where the rows are not those
        of bags, or of instances.
        """
        if self.inputs is None or self.outputs is None:
            return None
        rows = self.inputs.numel() // self.inputs.shape[-1]
        known = (count, count * batch.shape[1]) if isinstance(batch, Tensor) and batch.ndim > 1 else None
        if rows % count or (known and rows not in known):
            each = f"of {known[1] // count}" if known else f"in a {type(batch).__name__}"
            found = f"{rows} rows through the head for {count} bags {each}"
            raise BadModel(found, "one row for each bag or each instance", "name another with head=")
        inputs, outputs = (each.reshape(count, -1, each.shape[-1]) for each in (self.inputs, self.outputs))
        mask_Nn = None if known or rows == count else _mask(batch, inputs.shape[:2])
        if mask_Nn is None:
            return HeadPass(inputs, outputs, self.calls, rows == count or known is not None)
        return HeadPass(_masked_mean(inputs, mask_Nn), _masked_mean(outputs, mask_Nn), self.calls, True)

    def __reduce__(self) -> tuple[type["HeadRecord"], tuple[()]]:
        return HeadRecord, ()


@dataclass(frozen=True)
class HeadPass:
    """The head's `inputs` (N, n, D) and `outputs` (N, n, K) for N bags, and the number of its `calls`. n is 1 where it
    reads bags, or where they are means over a mask. Without `sure`, some of the n may be padding.
    """

    inputs: Tensor
    outputs: Tensor
    calls: int
    sure: bool


def joined(passes: Sequence[HeadPass | None]) -> HeadPass | None:
    """The passes of several batches, end to end; None where one is missing, or they are not alike."""
    known = [one for one in passes if one is not None]
    if not known or len(known) < len(passes) or len({(one.calls, one.inputs.shape[1:]) for one in known}) > 1:
        return None
    inputs, outputs = (torch.cat(parts) for parts in zip(*((one.inputs, one.outputs) for one in known), strict=True))
    return HeadPass(inputs, outputs, known[0].calls, all(one.sure for one in known))


@dataclass(frozen=True)
class ForwardPass:
    """Bag `logits` (N, K), and what went through the `head`; None if it wasn't called, or for the reason `fault`.

    `linear` says that the logits are the head's outputs or their mean, so that they follow from the mean input.
    """

    logits: Tensor
    head: HeadPass | None
    linear: bool
    fault: BadModel | None = None


def find_head(module: nn.Module, name: str | None) -> nn.Module | None:
    """The linear layer called `name`, or the last one of the module, None if it has none. Raises BadModel for a name
    that is no linear layer's.

    A linear layer with low-rank additions (LoRA) is one layer, under its own name and those of its parts.
    """
    parts = dict(module.named_modules())
    adapted = [key for key, part in parts.items() if key and _has_additions(part)]
    layers = [key for key, part in parts.items() if isinstance(part, nn.Linear) or key in adapted]
    if name is not None and name not in layers:
        raise BadModel(f"no linear layer {name!r}", f"one of {some_of(layers)}", "correct head=")
    if not layers:
        return None
    found = layers[-1] if name is None else name
    head: nn.Module = parts[next((key for key in adapted if found.startswith(f"{key}.")), found)]
    return head


def _has_additions(part: nn.Module) -> bool:
    """Whether the part adds `lora_B(lora_A(x))` to a linear layer, as PEFT's layers and others of that form do."""
    names = {name.lower() for name, _ in (*part.named_children(), *part.named_parameters(recurse=False))}
    return {"lora_a", "lora_b"} <= names


def _mask(batch: Batch, shape: tuple[int, ...]) -> Tensor | None:
    """The batch's tensor of this shape (N, n) that holds only 0 and 1, with a 1 in every row; None if there is none."""
    parts: Iterable[object] = ()
    if isinstance(batch, (tuple, list)):
        parts = batch
    elif hasattr(batch, "values"):
        parts = batch.values()
    elif dataclasses.is_dataclass(batch):
        parts = vars(batch).values()
    for part in parts:
        if isinstance(part, Tensor) and part.shape == shape and bool(((part == 0) | (part == 1)).all()):
            return part if bool((part == 1).any(1).all()) else None
    return None


def _masked_mean(values_NnF: Tensor, mask_Nn: Tensor) -> Tensor:
    """Means over the instances whose mask is 1, (N, 1, F)."""
    share_Nn1 = (mask_Nn / mask_Nn.sum(1, keepdim=True))[..., None].to(values_NnF.dtype)
    return (values_NnF * share_Nn1).sum(1, keepdim=True)
