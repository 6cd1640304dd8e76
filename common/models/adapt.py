"""Any torch module that gives bag logits, as an embedder: its last linear layer's input is the feature."""

import copy
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from negsift.common.arrays import Index
from negsift.common.data.bagset import Batch
from negsift.common.errors import BadModel
from negsift.common.models.bag import BagClassifier
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.embed import EncodedBags, gradient_labels, linear_gradient, pack
from negsift.common.types import Embedded, EmbeddingSpec, Need


class Seen(threading.local):
    """The head's inputs of this thread's last forward pass; a copy for another process starts empty."""

    inputs: Tensor | None = None

    def clear(self) -> None:
        """Forget the last pass."""
        self.inputs = None

    def __reduce__(self) -> tuple[type["Seen"], tuple[()]]:
        return Seen, ()


class AdaptedModule(nn.Module):
    """Wraps `module`, bags -> logits (N, K), (N, 1) or (N,); `head` names its last `nn.Linear`.

    One logit a bag is read as (0, z), so that column 1 is the positive class. The head may see bags
    (N, D) or instances (N, n, D) or (N·n, D) whose logits the module averages.
    """

    def __init__(self, module: nn.Module, head: str | None = None) -> None:
        super().__init__()
        self.module = module
        self._head = find_head(module, head)
        self._seen = Seen()
        self._head.register_forward_pre_hook(self._keep)

    def forward(self, bags: Tensor) -> Tensor:
        """Whatever the module says."""
        answer: Tensor = self.module(bags)
        return answer

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:  # Any: nn.Module's own signature
        """The module's own, so that its user's weights fit."""
        return self.module.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Into the module itself."""
        return self.module.load_state_dict(state_dict, strict, assign)

    def embed(self, bags: Batch, index: Index, ask: EmbeddingSpec) -> Embedded:
        """Logits (n, K), features (n, D) and, if asked, last-layer gradients of a batch of bags.

        Raises BadModel if the answer isn't one row of logits a bag, or if gradients are asked of a
        head whose outputs are neither the bag's logits nor average to them.
        """
        raw, inputs = self._run(bags, len(index))
        inputs_NnD = inputs.reshape(len(index), -1, inputs.shape[-1])
        if ask.need == Need.GRADIENT:
            self._require_linear(inputs_NnD, raw)
        return _answer(raw, inputs_NnD.mean(1), index, ask)

    def encode(self, bags: Batch, count: int) -> EncodedBags:
        """The head's inputs for `count` bags, (N, n, D), if the logits follow from them; else raises BadModel."""
        raw, inputs = self._run(bags, count)
        inputs_NnD = inputs.reshape(count, -1, inputs.shape[-1])
        self._require_linear(inputs_NnD, raw)
        return EncodedBags(inputs_NnD, np.full(count, inputs_NnD.shape[1], dtype=np.int64))

    def answer(self, encoded: EncodedBags, index: Index, ask: EmbeddingSpec) -> Embedded:
        """The same as `embed`, from the head's inputs; logits may differ in their last bit."""
        feats_ND = encoded.features.mean(1)
        return _answer(torch.nn.functional.linear(feats_ND, self._head.weight, self._head.bias), feats_ND, index, ask)

    @property
    def head_name(self) -> str:
        """The head's name in the module."""
        names: list[str] = [name for name, part in self.module.named_modules() if part is self._head]
        return names[0]

    def _keep(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._seen.inputs = inputs[0]

    def _run(self, bags: Batch, expected: int) -> tuple[Tensor, Tensor]:
        self._seen.clear()
        raw = self.module(bags)
        if isinstance(raw, Tensor) and raw.ndim == 1:
            raw = raw[:, None]
        if not isinstance(raw, Tensor) or raw.ndim != 2 or len(raw) != expected:
            found = tuple(raw.shape) if isinstance(raw, Tensor) else type(raw).__name__
            raise BadModel(f"an answer of {found} for {expected} bags", "bag logits (N, K)", "adapt the forward")
        inputs = self._seen.inputs
        if inputs is None:
            told = f"a head that isn't used, {self._head}"
            raise BadModel(told, "one call of it a batch", "name another with head=")
        rows, instances = inputs.numel() // inputs.shape[-1], bags.shape[1] if isinstance(bags, Tensor) else 1
        if rows not in (expected, expected * instances):
            raise BadModel(
                f"{rows} rows through the head for {expected} bags of {instances}",
                "a row a bag or an instance",
                "name another with head=",
            )
        return raw, inputs

    def _require_linear(self, inputs_NnD: Tensor, raw: Tensor) -> None:
        again = torch.nn.functional.linear(inputs_NnD.mean(1), self._head.weight, self._head.bias).to(raw.dtype)
        told = raw.isfinite() & again.isfinite() if again.shape == raw.shape else raw.isfinite()
        rtol, atol = (5e-2, 5e-2) if raw.dtype == torch.bfloat16 else (1e-3, 1e-4)
        if again.shape != raw.shape or not torch.allclose(again[told], raw[told], rtol, atol):
            raise BadModel(
                "bag logits that are not the head's output (or its mean over instances)",
                "just that",
                "use a strategy without gradients, or a BagClassifier, whose poolings know their gradient; and "
                "neither bfloat16 nor frozen features",
            )


def _answer(raw: Tensor, feats_ND: Tensor, index: Index, ask: EmbeddingSpec) -> Embedded:
    logits_NK = torch.stack([torch.zeros_like(raw[:, 0]), raw[:, 0]], 1) if raw.shape[1] == 1 else raw
    if ask.need < Need.GRADIENT:
        return pack(index, logits_NK, feats_ND, None)
    gradient = linear_gradient(logits_NK, feats_ND, gradient_labels(logits_NK, ask))
    return pack(index, logits_NK, feats_ND, gradient)


Embedder = BagClassifier | ClipClassifier | AdaptedModule


def as_embedder(model: nn.Module, head: str | None = None) -> Embedder:
    """`model` itself if it is one of our classifiers, else wrapped; raises BadModel without a linear head."""
    _require_module(model)
    return model if isinstance(model, (BagClassifier, ClipClassifier)) else AdaptedModule(copy.deepcopy(model), head)


def _require_module(model: object) -> None:
    if not isinstance(model, nn.Module):
        found = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise BadModel(f"{found} as model", "a torch.nn.Module", "give the network itself, made already")


def find_head(module: nn.Module, name: str | None) -> nn.Linear:
    """The linear layer called `name`, or the last one found."""
    linear = {key: part for key, part in module.named_modules() if isinstance(part, nn.Linear)}
    if not linear:
        raise BadModel(f"no nn.Linear in {type(module).__name__}", "a linear last layer", "give such a model")
    if name is None:
        return list(linear.values())[-1]
    if name not in linear:
        raise BadModel(f"no linear layer {name!r}", f"one of {', '.join(linear)}", "correct head=")
    return linear[name]
