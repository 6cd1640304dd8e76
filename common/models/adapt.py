"""Adapts any torch module that outputs bag logits; the input of its last linear layer is taken as the features."""

import copy
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from negsift.common.arrays import Index
from negsift.common.data.bagset import Batch
from negsift.common.errors import BadModel
from negsift.common.models.bag import BagClassifier
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.embed import EncodedBags, gradient_labels, linear_gradient, pack
from negsift.common.types import Embedded, EmbeddingSpec, Need


class HeadInputs(threading.local):
    """The inputs of the head in this thread's last forward pass; a copy starts empty."""

    last: Tensor | None = None

    def clear(self) -> None:
        """Forget the last pass."""
        self.last = None

    def __reduce__(self) -> tuple[type["HeadInputs"], tuple[()]]:
        return HeadInputs, ()


class AdaptedModule(nn.Module):
    """Wraps `module`, which maps bags to logits (N, K), (N, 1) or (N,); `head` names its last `nn.Linear`. A single
    logit z of a bag is read as (0, z), so that column 1 is the positive class. The input of the head may be bags (N,
    D), or instances (N, n, D) or (N·n, D) whose logits the module averages.
    """

    def __init__(self, module: nn.Module, head: str | None = None) -> None:
        super().__init__()
        self.module = module
        self._head = find_head(module, head)
        self._head_inputs = HeadInputs()
        self._head.register_forward_pre_hook(self._keep_inputs)

    def forward(self, bags: Batch) -> Tensor:
        """The output of the module."""
        output: Tensor = self.module(bags)
        return output

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:  # Any: nn.Module's own signature
        """The state dict of the wrapped module, whose names the user knows."""
        return self.module.state_dict(*args, **kwargs)

    def load_state_dict(  # Any: nn.Module's own signature
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load a state dict of the wrapped module."""
        return self.module.load_state_dict(state_dict, strict, assign)

    def embed(self, bags: Batch, index: Index, spec: EmbeddingSpec) -> Embedded:
        """Logits (n, K), features (n, D) and, if `spec` asks, last-layer gradients of a batch of bags. Raises BadModel
        for an output of any other form than one row of logits for each bag, and for gradients of a head whose outputs
        are neither the bag logits nor average to them.
        """
        logits, inputs = self._run(bags, len(index))
        inputs_NnD = inputs.reshape(len(index), -1, inputs.shape[-1])
        if spec.need == Need.GRADIENT:
            self._require_linear(inputs_NnD, logits)
        return _embedded(logits, inputs_NnD.mean(1), index, spec)

    def encode(self, bags: Batch, count: int) -> EncodedBags:
        """The inputs of the head for `count` bags, (N, n, D). Raises BadModel if the logits can't be had from them."""
        logits, inputs = self._run(bags, count)
        inputs_NnD = inputs.reshape(count, -1, inputs.shape[-1])
        self._require_linear(inputs_NnD, logits)
        return EncodedBags(inputs_NnD, np.full(count, inputs_NnD.shape[1], dtype=np.int64))

    def answer(self, encoded: EncodedBags, index: Index, spec: EmbeddingSpec) -> Embedded:
        """The result of `embed` for encoded bags; logits may differ in the last bit."""
        feats_ND = encoded.features.mean(1)
        return _embedded(linear(feats_ND, self._head.weight, self._head.bias), feats_ND, index, spec)

    @property
    def head_name(self) -> str:
        """The name of the head in the module."""
        names: list[str] = [name for name, part in self.module.named_modules() if part is self._head]
        return names[0]

    def _keep_inputs(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._head_inputs.last = inputs[0]

    def _run(self, bags: Batch, count: int) -> tuple[Tensor, Tensor]:
        """The logits (N, K) of `count` bags, and the inputs of the head."""
        self._head_inputs.clear()
        logits = self.module(bags)
        if isinstance(logits, Tensor) and logits.ndim == 1:
            logits = logits[:, None]
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != count:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise BadModel(f"an output of {found} for {count} bags", "bag logits (N, K)", "adapt the forward")
        inputs = self._head_inputs.last
        if inputs is None:
            found = f"a head that is not used, {self._head}"
            raise BadModel(found, "one call for each batch", "name another with head=")
        rows, instances = inputs.numel() // inputs.shape[-1], bags.shape[1] if isinstance(bags, Tensor) else 1
        if rows not in (count, count * instances):
            found = f"{rows} rows through the head for {count} bags of {instances}"
            raise BadModel(found, "one row for each bag or each instance", "name another with head=")
        return logits, inputs

    def _require_linear(self, inputs_NnD: Tensor, logits: Tensor) -> None:
        expected = linear(inputs_NnD.mean(1), self._head.weight, self._head.bias).to(logits.dtype)
        # Wide enough for other summation orders, and for the 8 bits of bfloat16.
        rtol, atol = (5e-2, 5e-2) if logits.dtype == torch.bfloat16 else (1e-3, 1e-4)
        # Bags with non-finite logits are dropped later; they say nothing about the head.
        finite = logits.isfinite() & expected.isfinite() if expected.shape == logits.shape else logits.isfinite()
        if expected.shape != logits.shape or not torch.allclose(expected[finite], logits[finite], rtol, atol):
            raise BadModel(
                "bag logits that differ from the head's output (or its mean over instances)",
                "equal ones",
                "use a strategy without gradients, float32 and no frozen features, or a BagClassifier, whose poolings "
                "have their own gradients",
            )


def _embedded(logits: Tensor, feats_ND: Tensor, index: Index, spec: EmbeddingSpec) -> Embedded:
    single = logits.shape[1] == 1
    logits_NK = torch.stack([torch.zeros_like(logits[:, 0]), logits[:, 0]], 1) if single else logits
    wanted = spec.need == Need.GRADIENT
    gradient = linear_gradient(logits_NK, feats_ND, gradient_labels(logits_NK, spec)) if wanted else None
    return pack(index, logits_NK, feats_ND, gradient)


Embedder = BagClassifier | ClipClassifier | AdaptedModule


def as_embedder(model: nn.Module, head: str | None = None) -> Embedder:
    """`model` itself if it is one of our classifiers, or else a wrapped copy. Raises BadModel without a linear head."""
    _require_module(model)
    return model if isinstance(model, (BagClassifier, ClipClassifier)) else AdaptedModule(copy.deepcopy(model), head)


def _require_module(model: object) -> None:
    if not isinstance(model, nn.Module):
        found = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise BadModel(f"{found} as model", "a torch.nn.Module", "pass an instance of the network")


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
