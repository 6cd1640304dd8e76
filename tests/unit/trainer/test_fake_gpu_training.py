"""Training steps on a GPU that is not there: every tensor is on it, and no number is read on the way."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException

from negsift.common.data.bagset import BagBatch
from negsift.common.models.config import MODELS, ModelConfig
from negsift.common.models.encoders import make_model, make_vector_model
from negsift.common.models.psla import make_clip_model
from negsift.trainer.config import InstanceLossConfig, TrainingConfig
from negsift.trainer.learner import Learner
from negsift.trainer.loader import TrainingBatch
from tests.unit.common.models.test_fake_gpu import FORM
from tests.unit.fake_gpu import GPU, fake_gpu, on_fake_gpu

STEPS = 4
SIZES = np.array([1, 3, 2])


class Counted(Sequence[TrainingBatch]):
    """The same batch some times; `taken` counts those that were asked for."""

    def __init__(self, bags: BagBatch | Tensor, label: Tensor) -> None:
        self._batch, self.taken = TrainingBatch(bags, label, torch.ones(len(label))), 0

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, number: int) -> TrainingBatch:  # type: ignore[override]  # no slices
        if number >= STEPS:
            raise IndexError(number)
        self.taken += 1
        return self._batch


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> list[set[torch.device]]:
    """What needs a real one does nothing; the devices of each step's gradients are noted."""
    noted: list[set[torch.device]] = []

    def backward(loss: Tensor) -> None:
        assert loss.device == GPU
        assert not loss.shape

    def step(optimiser: torch.optim.Optimizer) -> None:
        noted.append({one.device for group in optimiser.param_groups for one in group["params"]})

    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *_: True)
    fork_rng = torch.random.fork_rng
    monkeypatch.setattr("torch.random.fork_rng", lambda devices=(): fork_rng([]))
    monkeypatch.setattr("torch.nn.Module.to", lambda module, *_: module)  # it is there, and can't be moved
    monkeypatch.setattr("torch.autograd.backward", backward)  # autograd's engine asks the driver
    monkeypatch.setattr("torch.optim.Adam.step", step)
    return noted


IMAGES = BagBatch(torch.zeros(6, 3, 32, 32, dtype=torch.uint8), SIZES)
VECTORS = BagBatch(torch.zeros(6, 6), SIZES)
CLIPS = torch.zeros(3, FORM.frames, FORM.mels)
HARD, SOFT = torch.tensor([0, 1, 0]), torch.tensor([0.0, 0.7, 1.0])
INSTANCES = InstanceLossConfig(positive=0.5, negative=0.5, top=True)


@pytest.mark.parametrize(
    ("loss", "mixed"), [(InstanceLossConfig(), False), (INSTANCES, True)], ids=["bags", "instances, mixed precision"]
)
@pytest.mark.parametrize("name", [*MODELS, "mlp", "small_attention"])
def test_a_pass_of_training_reads_the_loss_once_at_its_end(
    name: str, loss: InstanceLossConfig, mixed: bool, a_gpu: list[set[torch.device]]
) -> None:
    config = TrainingConfig(instance_loss=loss, mixed_precision=mixed)
    model: nn.Module
    if name in MODELS:
        model, batches = make_model(ModelConfig(name), (3, 32, 32), 0), Counted(IMAGES, HARD)
    elif name == "mlp":
        model, batches = make_vector_model(ModelConfig(name), 6, 0), Counted(VECTORS, HARD)
    else:
        model, batches = make_clip_model(ModelConfig(name), FORM, 0), Counted(CLIPS, SOFT)
    with fake_gpu() as mode:
        learner = Learner(on_fake_gpu(model, mode), config, 0, device=GPU)
        with pytest.raises(DataDependentOutputException):
            learner.train(batches, 0)
    assert batches.taken == STEPS
    assert a_gpu == [{GPU}] * STEPS
