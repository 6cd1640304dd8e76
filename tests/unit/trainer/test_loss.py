"""The loss of bags and of instances, against sums over single instances."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from negsift.common.data.audio.config import ClipForm
from negsift.common.data.bagset import BagBatch
from negsift.common.errors import BadInput
from negsift.common.models.attention import AttentionHead
from negsift.common.models.clip import ClipClassifier
from negsift.trainer.config import InstanceLossConfig, TrainingConfig
from negsift.trainer.loss import BagLoss
from tests.unit.toys import vector_model, vectors

SIZES = [3, 1, 4, 2]
BAGS = BagBatch(torch.cat(vectors(SIZES)), np.array(SIZES))
LABELS = [torch.tensor([1, 0, 0, 1]), torch.tensor([0.3, 0.0, 1.0, 0.6])]


def config(positive: float = 0.0, negative: float = 0.0, bag: float = 1.0, *, top: bool = False) -> TrainingConfig:
    return TrainingConfig(bag_loss=bag, instance_loss=InstanceLossConfig(positive, negative, top))


def of_instances(logits: Tensor, label: float, weights: tuple[float, float], *, top: bool) -> Tensor:
    """The weighted loss of one bag's instances (n, 2)."""
    ones, zeros = torch.ones(len(logits), dtype=torch.long), torch.zeros(len(logits), dtype=torch.long)
    as_positive, as_negative = (cross_entropy(logits, each, reduction="none") for each in (ones, zeros))
    one = as_positive[(logits[:, 1] - logits[:, 0]).argmax()] if top else as_positive.mean()
    return weights[0] * label * one + weights[1] * (1 - label) * as_negative.mean()


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("pooling", ["mean_softmax", "attention", "softmax_max"])
@pytest.mark.parametrize("top", [False, True])
def test_every_instance_has_its_bags_label(label: Tensor, pooling: str, top: bool) -> None:
    model, weights = vector_model(pooling), (0.7, 0.2)
    logits = model.head(model.encoder(BAGS.instances)).split(SIZES)
    each = [of_instances(rows, float(value), weights, top=top) for rows, value in zip(logits, label, strict=True)]
    soft = torch.stack([1 - label.float(), label.float()], 1)
    expected = torch.stack(each) + 0.5 * cross_entropy(model(BAGS), soft, reduction="none")
    found = BagLoss(model, config(*weights, 0.5, top=top))(BAGS, label)[0]
    torch.testing.assert_close(found, expected)


def test_without_it_the_loss_is_the_bags_alone() -> None:
    model, label = vector_model(), LABELS[0]
    found = BagLoss(model, config())(BAGS, label)[0]
    assert torch.equal(found, cross_entropy(model(BAGS), label, reduction="none"))


@pytest.mark.parametrize("label", LABELS)
def test_an_offset_raises_the_log_odds_of_a_bag_and_of_its_instances(label: Tensor) -> None:
    model, offset = vector_model(), torch.tensor([0.5, 2.0, 0.0, -1.0])
    found, logits = BagLoss(model, config(0.7, 0.2, 0.5))(BAGS, label, offset)
    assert torch.equal(logits, model(BAGS))  # the model's own
    with torch.no_grad():
        model.head.bias += torch.tensor([0.0, 2.0])  # which raises all, as the offset of the second bag does
    torch.testing.assert_close(found[1], BagLoss(model, config(0.7, 0.2, 0.5))(BAGS, label)[0][1])


def test_the_instances_of_a_clip_are_its_time_steps() -> None:
    torch.manual_seed(0)
    model = ClipClassifier(ClipForm(frames=5, mels=3, mean=0.0, std=1.0), nn.Identity(), AttentionHead(3))
    clips, label = torch.randn(2, 5, 3), torch.tensor([1, 0])
    steps = torch.stack([model(clips[:, [step]]) for step in range(5)], 1)  # one step alone has all the attention
    expected = torch.stack(
        [of_instances(steps[0], 1.0, (2.0, 1.0), top=False), of_instances(steps[1], 0.0, (2.0, 1.0), top=False)]
    )
    torch.testing.assert_close(BagLoss(model, config(2.0, 1.0, 0.0))(clips, label)[0], expected, rtol=1e-4, atol=1e-5)


def test_all_parameters_have_a_gradient_also_where_bags_have_no_loss() -> None:
    model = vector_model("attention")
    BagLoss(model, config(1.0, 1.0, 0.0))(BAGS, LABELS[0])[0].sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_models_without_instances_and_runs_without_a_loss_are_refused() -> None:
    with pytest.raises(BadInput, match="training.instance_loss with a Linear, which has no instances"):
        BagLoss(nn.Linear(2, 2), config(1.0))
    with pytest.raises(BadInput, match="training.bag_loss=0 without a loss of instances"):
        config(bag=0.0)
