"""Training: schedule, soft labels, precision, and that a resumed epoch is the same."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from negsift.common.errors import BadInput
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.trainer.config import TrainingConfig
from negsift.trainer.learner import Learner
from negsift.trainer.loader import EpochBatches, EpochSet, TrainingBatch
from tests.unit.toys import SHAPE, bag_set, cnn, vector_model, vectors


def batch(label: torch.Tensor, count: int = 6) -> TrainingBatch:
    return TrainingBatch(torch.stack(vectors([3] * count)), label, torch.ones(count))


def test_the_learning_rate_is_halved_from_an_epoch_on_every_few() -> None:
    config = TrainingConfig(lr=1e-3, halve_from=10, halve_every=5)
    rates = [config.learning_rate(epoch) * 1e3 for epoch in range(21)]
    assert rates == [1.0] * 10 + [0.5] * 5 + [0.25] * 5 + [0.125]
    milestones = torch.optim.lr_scheduler.MultiStepLR(
        torch.optim.Adam([torch.zeros(1, requires_grad=True)], 1e-3), [*range(10, 1000, 5)], 0.5
    )  # PSLA's own scheduler, stepped after every epoch
    for rate in rates:
        assert milestones.get_last_lr()[0] * 1e3 == pytest.approx(rate)
        milestones.optimizer.step()
        milestones.step()


def test_without_a_schedule_the_rate_stays() -> None:
    assert {TrainingConfig().learning_rate(epoch) for epoch in range(100)} == {1e-3}


def test_the_optimiser_has_the_rate_of_the_epoch_and_the_betas() -> None:
    learner = Learner(vector_model(), TrainingConfig(lr=0.1, halve_from=2, halve_every=1, beta1=0.95), 0)
    learner.train([batch(torch.ones(6, dtype=torch.long))], 3)
    (group,) = learner.state_dict()["optimiser"]["param_groups"]
    assert (group["lr"], group["betas"]) == (0.025, (0.95, 0.999))


def test_soft_labels_are_binary_cross_entropy() -> None:
    model, soft = vector_model(), torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0, 0.3])
    logits = model(batch(soft).bags)
    expected = binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], soft)
    assert Learner(model, TrainingConfig(lr=1e-9), 0).train([batch(soft)], 0) == pytest.approx(
        float(expected.detach()), rel=1e-5
    )


def test_soft_labels_of_0_and_1_train_as_hard_ones() -> None:
    hard = torch.tensor([0, 1, 1, 0, 0, 1])
    states = []
    for label in (hard, hard.float()):
        learner = Learner(vector_model(), TrainingConfig(), 0)
        learner.train([batch(label)] * 3, 0)
        states.append(learner.model.state_dict())
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=1e-5, atol=1e-6)


def test_mixed_precision_changes_nothing_without_a_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    losses = [
        Learner(vector_model(), TrainingConfig(mixed_precision=mixed), 0).train([batch(torch.ones(6).long())] * 2, 0)
        for mixed in (False, True)
    ]
    assert losses[0] == losses[1]


def test_scores_hardly_depend_on_the_evaluation_batch() -> None:
    bags = bag_set([2] * 9)
    one, other = (Learner(cnn(), TrainingConfig(evaluation_batch=size), 0).score(bags) for size in (2, 128))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "change", [{"beta1": 1.0}, {"beta2": -0.1}, {"halve_every": 0}, {"evaluation_batch": 0}, {"halve_from": -1}]
)
def test_unusable_settings_are_reported(change: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="; correct training"):
        TrainingConfig(**change)  # type: ignore[arg-type]  # on purpose


def test_an_epoch_set_gives_its_bags_in_order() -> None:
    bags = bag_set([1, 2, 3])
    batches = list(EpochBatches(EpochSet(bags, np.arange(3.0)), np.array([2, 0, 1]), 2))
    assert [len(part.label) for part in batches] == [2, 1]
    np.testing.assert_array_equal(torch.cat([part.weight for part in batches]), [2.0, 0.0, 1.0])


@pytest.mark.parametrize("name", ["simple_cnn", "resnet18"])
def test_a_frozen_backbone_is_unchanged_while_the_head_learns(name: str) -> None:
    model, bags = make_model(ModelConfig(name), SHAPE, seed=0), bag_set([3] * 6)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    training_batch = TrainingBatch(bags.gather(np.arange(6)), torch.tensor([0, 1, 1, 0, 1, 0]), torch.ones(6))
    Learner(model, TrainingConfig(freeze=True), 0).train([training_batch] * 2, 0)
    changed = {key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"head"}


def test_a_compiled_backbone_trains_under_the_same_names(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[tuple[torch.nn.Module, bool]] = []
    monkeypatch.setattr("torch.nn.Module.compile", lambda module, dynamic: compiled.append((module, dynamic)))
    model = vector_model()
    learner = Learner(model, TrainingConfig(compile=True), 0)
    learner.train([batch(torch.ones(6, dtype=torch.long))], 0)
    assert compiled == [(model.encoder, True)]
    assert learner.state_dict()["model"].keys() == vector_model().state_dict().keys()


def test_compiling_without_a_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(
        BadInput, match=r"training\.compile=true without a C\+\+ compiler \(/no/such/compiler\); expected"
    ):
        Learner(vector_model(), TrainingConfig(compile=True), 0)


@pytest.mark.parametrize("key", ["batch", "evaluation_batch"])
def test_a_batch_without_memory_is_one_line_with_the_setting(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nand more")

    learner = Learner(cnn(), TrainingConfig(), 0)
    monkeypatch.setattr("torch.nn.Conv2d.forward", refuse)
    bags = bag_set([2] * 3)
    whole = TrainingBatch(bags.gather(np.arange(3)), torch.tensor([0, 1, 1]), torch.ones(3))
    with pytest.raises(BadInput, match=rf"batch of 3 bags \(CUDA out of memory.*GiB\); .*; lower training\.{key}$"):
        learner.train([whole], 0) if key == "batch" else learner.score(bags)
