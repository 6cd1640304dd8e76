"""The loss of bags, and that of their instances, each of which inherits its bag's label."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from negsift.common.data.bagset import Batch
from negsift.common.errors import BadInput
from negsift.common.models.bag import BagClassifier
from negsift.common.models.bag_outputs import BagOutputs
from negsift.common.models.clip import ClipClassifier
from negsift.trainer.config import TrainingConfig


class BagLoss(nn.Module):
    """The loss of every bag (n,) by `model`: that of the bag and, by label, the mean of its instances', weighted.

    A label between 0 and 1 is a mixture of both. With `instance_loss.top` a positive bag's instances have the loss of
    the most positive of them, the bag's witness (Andrews, Tsochantaridis and Hofmann, NIPS 2002).
    Raises BadInput for a loss of instances with a model that has none.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        super().__init__()
        self.model, self._config = model, config
        if config.instance_loss.enabled and not isinstance(model, (BagClassifier, ClipClassifier)):
            found = f"training.instance_loss with a {type(model).__name__}, which has no instances"
            raise BadInput(found, "a BagClassifier or a ClipClassifier", "leave training.instance_loss alone")

    def forward(self, bags: Batch, label: Tensor, offset: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The loss (n,) and the logits (n, 2) of the `bags`, of `label` (n,) int64, or float between 0 and 1.

        The loss is that of log-odds raised by `offset` (n,), those of a bag and of each of its instances.
        """
        offset = torch.zeros(len(label), device=label.device) if offset is None else offset
        if not self._config.instance_loss.enabled:
            logits_NK = self.model(bags)
            return self._of_bags(logits_NK, label, offset) * self._config.bag_loss, logits_NK
        assert isinstance(self.model, (BagClassifier, ClipClassifier))
        outputs = self.model.outputs(bags)
        # Also with a weight of 0: workers that train together need a gradient of every parameter.
        of_bags = self._of_bags(outputs.logits, label, offset) * self._config.bag_loss
        return of_bags + self._of_instances(outputs, label.float(), offset), outputs.logits

    def _of_bags(self, logits_NK: Tensor, label: Tensor, offset: Tensor) -> Tensor:
        target = torch.stack([1 - label, label], 1) if label.is_floating_point() else label
        raised_NK = logits_NK.float() + torch.stack([torch.zeros_like(offset), offset], 1)
        return cross_entropy(raised_NK, target, reduction="none")

    def _of_instances(self, outputs: BagOutputs, label: Tensor, offset: Tensor) -> Tensor:
        weights, margin_Nn = self._config.instance_loss, outputs.margins.float() + offset[:, None]
        count_N = outputs.mask.sum(1)
        as_negative = (softplus(margin_Nn) * outputs.mask).sum(1) / count_N
        if weights.top:
            as_positive = softplus(-margin_Nn.masked_fill(outputs.mask == 0, -torch.inf).amax(1))
        else:
            as_positive = (softplus(-margin_Nn) * outputs.mask).sum(1) / count_N
        return weights.positive * label * as_positive + weights.negative * (1 - label) * as_negative
