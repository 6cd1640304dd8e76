"""Adapts any torch module that outputs bag logits; the input of its last linear layer is taken as the features."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from negsift.common.arrays import Index
from negsift.common.data.bagset import Batch
from negsift.common.errors import BadInput, BadModel, UnknownName
from negsift.common.models.bag import BagClassifier
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.copying import independent_copy, require_module, require_one_argument
from negsift.common.models.embed import EncodedBags, gradient_labels, linear_gradient, pack
from negsift.common.models.head import ForwardPass, HeadRecord, find_head
from negsift.common.models.outputs import OUTPUTS, agree, logits_of_probabilities, look_like_probabilities
from negsift.common.types import Embedded, EmbeddingSpec, Need


class AdaptedModule(nn.Module):
    """Wraps `module`, which maps bags to logits (N, K), (N, 1) or (N,). A single logit z of a bag is read as (0, z), so
    that column 1 is the positive class. The input of the head may be bags (N, D), or instances (N, n, D) or (N·n, D).

    `head` names the linear layer whose input is the feature. Without it that is the last one; where features are asked
    for, its outputs, or their mean over instances, have to be the logits. `outputs` says what the module gives: logits,
    or probabilities (of several classes, or of the positive one), or None, which refuses what looks like probabilities.
    """

    def __init__(self, module: nn.Module, head: str | None = None, outputs: str | None = None) -> None:
        super().__init__()
        require_one_argument(module)
        self.module = module
        self._head = find_head(module, head)
        self._is_named, self._outputs, self._are_logits = head is not None, outputs, outputs is not None
        self._record = HeadRecord()
        self._head.register_forward_hook(self._record.keep, with_kwargs=True)

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
        for outputs that are not one row of logits for each bag; where `spec` asks for features, for a head that isn't
        the classifier unless it was named; and for gradients of a head whose outputs are neither the bag logits nor
        average to them.
        """
        run = self._run(bags, len(index))
        if spec.need < Need.FEATURES:
            return _embedded(run.logits, run.logits[:, :0], index, spec)  # what enters the head need not be features
        self._require_one_call(run)
        if not run.linear and not self._is_named:
            raise self._wrong_head(run)
        if spec.need == Need.GRADIENT:
            _require_linear(run)
        return _embedded(run.logits, run.inputs.mean(1), index, spec)

    def encode(self, bags: Batch, count: int) -> EncodedBags:
        """The inputs of the head for `count` bags, (N, n, D). Raises BadModel if the logits can't be had from them."""
        run = self._run(bags, count)
        self._require_one_call(run)
        _require_linear(run)
        return EncodedBags(run.inputs, np.full(count, run.inputs.shape[1], dtype=np.int64))

    def answer(self, encoded: EncodedBags, index: Index, spec: EmbeddingSpec) -> Embedded:
        """The result of `embed` for encoded bags; logits may differ in the last bit."""
        feats_ND = encoded.features.mean(1).to(next(self._head.parameters()).dtype)
        return _embedded(self._head(feats_ND), feats_ND, index, spec)

    @property
    def head_name(self) -> str:
        """The name of the head in the module."""
        names: list[str] = [name for name, part in self.module.named_modules() if part is self._head]
        return names[0]

    @property
    def columns(self) -> int | None:
        """The number of logit columns, a single logit counting as two; None where only a forward pass can tell."""
        return max(2, self._head.out_features) if isinstance(self._head, nn.Linear) and not self._is_named else None

    def _run(self, bags: Batch, count: int) -> ForwardPass:
        self._record.clear()
        outputs_NK = _rows(self.module(bags), count)
        inputs, head = self._record.inputs, self._record.outputs
        if inputs is None or head is None:
            found = f"a head that is not used, {self.head_name!r}, {self._head}"
            raise BadModel(found, "one call for each batch", "name another with head=")
        _require_rows(inputs.numel() // inputs.shape[-1], bags, count)
        logits_NK = logits_of_probabilities(outputs_NK) if self._outputs == "probability" else outputs_NK
        linear = agree(outputs_NK, head.reshape(count, -1, head.shape[-1]), self._outputs or "logits")
        if not linear:
            self._require_logits(outputs_NK)
        feats_NnD = inputs.reshape(count, -1, inputs.shape[-1])
        return ForwardPass(logits_NK, feats_NnD, linear, head.shape[-1], self._record.calls)

    def _require_one_call(self, run: ForwardPass) -> None:
        if run.calls > 1:
            found = f"{run.calls} calls of the head {self.head_name!r} in a batch"
            raise BadModel(found, "one call for each batch", "stack the instances, or name another with head=")

    def _require_logits(self, outputs_NK: Tensor) -> None:
        """Raise BadModel for outputs that aren't the head's and may be probabilities."""
        if not self._are_logits and look_like_probabilities(outputs_NK):
            raise BadModel(
                "outputs that are all probabilities (in [0, 1], and of several columns summing to one)", "bag logits",
                "return what enters the sigmoid or softmax, or give outputs='probability' (or 'logits', if they are)",
            )  # fmt: skip
        self._are_logits = True

    def _wrong_head(self, run: ForwardPass) -> BadModel:
        """The error of a last linear layer that isn't the classifier."""
        name, size, columns = self.head_name, run.head_columns, run.logits.shape[1]
        found = f"{size} outputs of the last nn.Linear, {name!r}, for logits of {columns} columns"
        if size == columns:
            found = f"logits that are neither the outputs of the last nn.Linear, {name!r}, nor their mean"
        remedy = "name the layer whose input is a bag's feature with head="
        return BadModel(found, "the classifier as the last nn.Linear", remedy)


def _rows(outputs: object, count: int) -> Tensor:
    """The outputs as (N, K); raises BadModel for any other form."""
    rows = outputs[:, None] if isinstance(outputs, Tensor) and outputs.ndim == 1 else outputs
    if isinstance(rows, Tensor) and rows.ndim == 2 and len(rows) == count and rows.is_floating_point():
        return rows
    found = f"{tuple(rows.shape)} {rows.dtype}" if isinstance(rows, Tensor) else type(rows).__name__
    raise BadModel(f"an output of {found} for {count} bags", "bag logits (N, K)", "adapt the forward")


def _require_rows(rows: int, bags: Batch, count: int) -> None:
    """Raise BadModel unless so many rows of head inputs are one for each bag, or for each instance of equal bags."""
    if isinstance(bags, Tensor) and rows not in (count, count * bags.shape[1]):
        found = f"{rows} rows through the head for {count} bags of {bags.shape[1]}"
        raise BadModel(found, "one row for each bag or each instance", "name another with head=")
    if not isinstance(bags, Tensor) and rows != count:
        found = f"{rows} rows through the head for {count} bags in a {type(bags).__name__}"
        raise BadModel(found, "one row for each bag", "pool before the head, or name another with head=")


def _require_linear(run: ForwardPass) -> None:
    if not run.linear:
        raise BadModel(
            "bag logits that differ from the head's output (or its mean over instances)", "equal ones",
            "use a strategy without gradients, float32 and no frozen features, or a BagClassifier, whose poolings have "
            "their own gradients",
        )  # fmt: skip


def _embedded(logits: Tensor, feats_ND: Tensor, index: Index, spec: EmbeddingSpec) -> Embedded:
    single = logits.shape[1] == 1
    logits_NK = torch.stack([torch.zeros_like(logits[:, 0]), logits[:, 0]], 1) if single else logits
    wanted = spec.need == Need.GRADIENT
    gradient = linear_gradient(logits_NK, feats_ND, gradient_labels(logits_NK, spec)) if wanted else None
    return pack(index, logits_NK, feats_ND, gradient)


Embedder = BagClassifier | ClipClassifier | AdaptedModule


def as_embedder(model: nn.Module, head: str | None = None, outputs: str | None = None) -> Embedder:
    """`model` itself if it is one of our classifiers, or else a wrapped copy; see AdaptedModule for the arguments.

    Raises BadModel for a model that can't be used, and BadInput for `outputs` that aren't the model's.
    """
    require_module(model)
    if outputs is not None and outputs not in OUTPUTS:
        raise UnknownName("outputs", str(outputs), OUTPUTS)
    if not isinstance(model, (BagClassifier, ClipClassifier)):
        return AdaptedModule(independent_copy(model), head, outputs)
    name, base = type(model).__name__, BagClassifier if isinstance(model, BagClassifier) else ClipClassifier
    if type(model).forward is not base.forward and type(model).embed is base.embed:  # scoring calls embed alone
        raise BadModel(f"{name} with a forward of its own", "an embed to go with it", "override embed and encode, too")
    if outputs == "probability":
        raise BadInput(f"outputs='probability' with a {name}", "its logits", "leave outputs alone")
    return model


def logit_columns(model: Embedder) -> int | None:
    """The number of a model's logit columns; None where only a forward pass can tell."""
    if isinstance(model, AdaptedModule):
        return model.columns
    return max(2, model.head.out_features if isinstance(model, BagClassifier) else model.head.classes)
