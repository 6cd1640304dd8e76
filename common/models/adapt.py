"""Adapts any torch module that outputs bag logits; the input of its last linear layer is taken as the features."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from negsift.common.arrays import Index
from negsift.common.data.bagset import Batch
from negsift.common.errors import BadModel
from negsift.common.models.calling import call_module
from negsift.common.models.embed import EmbeddedTensors, EncodedBags, gradient_labels, with_linear_gradient
from negsift.common.models.head import ForwardPass, HeadPass, HeadRecord, find_head, joined
from negsift.common.models.outputs import (
    agree,
    all_finite,
    bag_logits,
    logits_in,
    logits_of_probabilities,
    look_like_probabilities,
    two_columns,
)
from negsift.common.types import Embedded, EmbeddingSpec, Need


class AdaptedModule(nn.Module):
    """Wraps `module`, which maps bags to logits (N, K), (N, 1) or (N,). A single logit z of a bag is read as (0, z), so
    that column 1 is the positive class. The input of the head may be bags (N, D), or instances (N, n, D) or (N·n, D);
    where a batch has a mask (N, n) beside padded bags, those that it leaves out don't count.

    `head` names the linear layer whose input is the feature. Without it that is the last one; where features are asked
    for, its outputs, or their mean over instances, have to be the logits. `outputs` says what the module gives: logits,
    or probabilities (of several classes, or of the positive one), or None, which refuses what looks like probabilities.
    """

    def __init__(self, module: nn.Module, head: str | None = None, outputs: str | None = None) -> None:
        super().__init__()
        self.module = module
        self._head = find_head(module, head)
        self._is_named, self._outputs, self._are_logits = head is not None, outputs, outputs is not None
        self._agreed, self._takes_batch = False, False  # in a pass with the weights loaded last; in any pass
        self._record = HeadRecord()
        if self._head is not None:
            self._head.register_forward_hook(self._record.keep, with_kwargs=True)

    def forward(self, bags: Batch) -> object:
        """Bag logits, or probabilities, (N, K) or (N,), as the module gives them."""
        return logits_in(self._call(bags))

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:  # Any: nn.Module's own signature
        """The state dict of the wrapped module, whose names the user knows."""
        return self.module.state_dict(*args, **kwargs)

    def load_state_dict(  # Any: nn.Module's own signature
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load a state dict of the wrapped module."""
        self._agreed = False
        return self.module.load_state_dict(state_dict, strict, assign)

    def embed(self, bags: Batch, index: Index, spec: EmbeddingSpec) -> Embedded:
        """Logits (n, K), features (n, D) and, if `spec` asks, last-layer gradients of a batch of bags. Raises BadModel
        for outputs that are not one row of logits for each bag; where `spec` asks for features, for a head that isn't
        the classifier unless it was named; and for gradients of a head whose outputs are neither the bag logits nor
        average to them.
        """
        return self.embed_on_device(bags, len(index), spec).embedded(index)

    def embed_on_device(self, bags: Batch, count: int, spec: EmbeddingSpec) -> EmbeddedTensors:
        """The result of `embed` for `count` bags, left on the device."""
        if spec.need < Need.FEATURES:  # what enters the head need not be features, nor need there be a head
            logits_NK = self._logits(bags, count)
            return _embedded(logits_NK, logits_NK[:, :0], spec)
        return self._of_head(*self._pass(bags, count), type(bags).__name__, spec)

    def embed_batches(self, batches: Iterable[Tensor], spec: EmbeddingSpec) -> EmbeddedTensors:
        """The result of `embed_on_device` for one batch after another, each a pass of its own, end to end. What is not
        the model's is computed for all of them at once. Batches may come in the same memory.
        """
        if spec.need < Need.FEATURES:
            logits_NK = torch.cat([_apart(self._logits(batch, len(batch)), batch) for batch in batches])
            return _embedded(logits_NK, logits_NK[:, :0], spec)
        passes = []
        for batch in batches:
            outputs_NK, head, fault = self._pass(batch, len(batch))
            passes.append((_apart(outputs_NK, batch), head, fault))
        whole = joined([head for _, head, _ in passes])
        if whole is None:
            return EmbeddedTensors.joined([self._of_head(*one, "Tensor", spec) for one in passes])
        outputs_NK = torch.cat([outputs for outputs, _, _ in passes])
        return self._of_head(outputs_NK, whole, None, "Tensor", spec)

    def encode(self, bags: Batch, count: int) -> EncodedBags:
        """The inputs of the head for `count` bags, (N, n, D). Raises BadModel if the logits can't be had from them."""
        run = self._judged(*self._pass(bags, count))
        head = self._head_of(run, type(bags).__name__)
        _require_linear(run)
        return EncodedBags(head.inputs, np.full(count, head.inputs.shape[1], dtype=np.int64))

    def answer(self, encoded: EncodedBags, spec: EmbeddingSpec) -> EmbeddedTensors:
        """The result of `embed` for encoded bags, left on the device; logits may differ in the last bit."""
        head = self._known_head
        feats_ND = encoded.features.mean(1).to(next(head.parameters()).dtype)
        return _embedded(head(feats_ND), feats_ND, spec)

    @property
    def has_head(self) -> bool:
        """Whether there is a linear layer, without which there are no features."""
        return self._head is not None

    @property
    def head_name(self) -> str:
        """The name of the head in the module."""
        names: list[str] = [name for name, part in self.module.named_modules() if part is self._head]
        return names[0]

    @property
    def columns(self) -> int | None:
        """The number of logit columns, a single logit counting as two; None where only a forward pass can tell."""
        return max(2, self._head.out_features) if isinstance(self._head, nn.Linear) and not self._is_named else None

    @property
    def _known_head(self) -> nn.Module:
        if self._head is None:
            raise no_head()
        return self._head

    def _call(self, bags: Batch) -> object:
        """The module's output; how its forward takes batches is looked up once, which costs as much as a small pass."""
        if self._takes_batch and not isinstance(bags, Mapping):
            return self.module(bags)
        output = call_module(self.module, bags)
        self._takes_batch |= not isinstance(bags, Mapping)
        return output

    def _logits(self, bags: Batch, count: int) -> Tensor:
        """The logits of a forward pass. The head is looked at until a pass has shown that the outputs are logits."""
        if not (self._are_logits or self._agreed):
            return self._judged(*self._pass(bags, count)).logits
        self._record.wanted = False
        outputs_NK = bag_logits(self._call(bags), count)
        return logits_of_probabilities(outputs_NK) if self._outputs == "probability" else outputs_NK

    def _pass(self, bags: Batch, count: int) -> tuple[Tensor, HeadPass | None, BadModel | None]:
        """The outputs of a forward pass (N, K), and what went through the head, or why that can't be told by bag."""
        self._record.start()
        outputs_NK = bag_logits(self._call(bags), count)
        try:
            return outputs_NK, self._record.of_bags(bags, count), None
        except BadModel as error:
            return outputs_NK, None, error

    def _judged(self, outputs_NK: Tensor, head: HeadPass | None, fault: BadModel | None) -> ForwardPass:
        """What `_pass` gave, and whether its outputs are those of the head. Raises BadModel for probabilities."""
        logits_NK = logits_of_probabilities(outputs_NK) if self._outputs == "probability" else outputs_NK
        linear = head is not None and agree(outputs_NK, head.outputs, self._outputs or "logits")
        if linear:
            self._agreed = self._agreed or all_finite(outputs_NK)
        else:
            self._require_logits(outputs_NK)
        return ForwardPass(logits_NK, head, linear, fault)

    def _of_head(
        self, outputs_NK: Tensor, passed: HeadPass | None, fault: BadModel | None, form: str, spec: EmbeddingSpec
    ) -> EmbeddedTensors:
        """Features, and gradients if `spec` asks, of what `_pass` gave for batches of a form. Raises as `embed`."""
        run = self._judged(outputs_NK, passed, fault)
        head = self._head_of(run, form)
        if not run.linear and not self._is_named:
            raise self._wrong_head(head.outputs.shape[-1], run.logits.shape[1])
        if spec.need == Need.GRADIENT:
            _require_linear(run)
        return _embedded(run.logits, head.inputs.mean(1), spec)

    def _head_of(self, run: ForwardPass, form: str) -> HeadPass:
        """What went through the head, by bag of a batch of that form. Raises BadModel if that can't be told."""
        layer = self._known_head
        if run.fault is not None:
            raise run.fault
        if run.head is None:
            found = f"a head that is not used, {self.head_name!r}, {layer}"
            raise BadModel(found, "one call for each batch", "name another with head=")
        if run.head.calls > 1:
            found = f"{run.head.calls} calls of the head {self.head_name!r} in a batch"
            raise BadModel(found, "one call for each batch", "stack the instances, or name another with head=")
        if not run.linear and not run.head.sure:
            found = f"{run.head.inputs.shape[1]} rows through the head for each bag of a {form} without a mask of them"
            raise BadModel(found, "one row, or a mask (N, n) of 0 and 1", "pool before the head, or add the mask")
        return run.head

    def _require_logits(self, outputs_NK: Tensor) -> None:
        """Raise BadModel for outputs that aren't the head's and may be probabilities."""
        if not self._are_logits and look_like_probabilities(outputs_NK):
            raise BadModel(
                "outputs that are all probabilities (in [0, 1], and of several columns summing to one)", "bag logits",
                "return what enters the sigmoid or softmax, or give outputs='probability' (or 'logits', if they are)",
            )  # fmt: skip
        self._are_logits = True

    def _wrong_head(self, size: int, columns: int) -> BadModel:
        """The error of a last linear layer of `size` outputs that isn't the classifier of so many columns."""
        found = f"{size} outputs of the last nn.Linear, {self.head_name!r}, for logits of {columns} columns"
        if size == columns:
            found = f"logits that are neither the outputs of the last nn.Linear, {self.head_name!r}, nor their mean"
        remedy = "name the layer whose input is a bag's feature with head="
        return BadModel(found, "the classifier as the last nn.Linear", remedy)


def no_head() -> BadModel:
    """The error of a strategy of features or gradients where the model has no linear layer."""
    return BadModel("no nn.Linear in the model", "a linear last layer", "use a strategy of logits, such as entropy")


def _require_linear(run: ForwardPass) -> None:
    if not run.linear:
        raise BadModel(
            "bag logits that differ from the head's output (or its mean over instances)", "equal ones",
            "use a strategy without gradients, float32 and no frozen features, or a BagClassifier, whose poolings have "
            "their own gradients",
        )  # fmt: skip


def _apart(outputs: Tensor, batch: Tensor) -> Tensor:
    """The outputs in memory that is not the batch's, of which they may be a part."""
    is_part = outputs.untyped_storage().data_ptr() == batch.untyped_storage().data_ptr()
    return outputs.clone() if is_part else outputs


def _embedded(logits: Tensor, feats_ND: Tensor, spec: EmbeddingSpec) -> EmbeddedTensors:
    logits_NK = two_columns(logits)
    if spec.need < Need.GRADIENT:
        return EmbeddedTensors(logits_NK, feats_ND)
    return with_linear_gradient(logits_NK, feats_ND, gradient_labels(logits_NK, spec))
