"""The optimisers of a run: their steps equal torch's, matrices are the weights, and a resumed one goes on alike."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from negsift.common.errors import UnknownName
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.trainer.config import TrainingConfig
from negsift.trainer.optimiser import Optimiser, hidden_weights

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Small(nn.Module):
    """A convolution, a second one, a hidden layer and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)
        self.hidden, self.head = nn.Linear(5, 6), nn.Linear(6, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, 2)."""
        pooled = self.second(self.first(images).relu()).relu().mean((2, 3))
        logits: Tensor = self.head(self.hidden(pooled).relu())
        return logits


def small() -> Small:
    torch.manual_seed(0)
    return Small()


def loss(model: nn.Module) -> Tensor:
    out: Tensor = model(IMAGES).square().mean()
    return out


def weights(model: nn.Module) -> list[Tensor]:
    return [value.detach().clone() for value in model.parameters()]


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_adam_and_adamw_are_torchs(name: str, kind: type[torch.optim.Adam]) -> None:
    ours, theirs = small(), small()
    optimiser = Optimiser(ours, TrainingConfig(optimiser=name, lr=0.1, weight_decay=0.3))
    other = kind(theirs.parameters(), 0.05, weight_decay=0.3)
    for _ in range(3):
        optimiser.step(loss(ours), 0.05)
        other.zero_grad()
        torch.autograd.backward(loss(theirs))
        other.step()
    assert all(torch.equal(one, two) for one, two in zip(weights(ours), weights(theirs), strict=True))


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_hidden_layers_are_muons_and_the_rest_adamws(form: torch.memory_format) -> None:
    ours, theirs = small(), small()
    ours.second.to(memory_format=form)
    config = TrainingConfig(optimiser="muon", lr=0.1, muon_lr=0.02, weight_decay=0.3)
    optimiser = Optimiser(ours, config)
    kernels = nn.Parameter(theirs.second.weight.detach().reshape(5, -1).clone())
    muon = torch.optim.Muon([kernels, theirs.hidden.weight], 0.01, weight_decay=0.3)
    hidden = {id(theirs.second.weight), id(theirs.hidden.weight)}
    adamw = torch.optim.AdamW([p for p in theirs.parameters() if id(p) not in hidden], 0.05, weight_decay=0.3)
    for _ in range(3):
        optimiser.step(loss(ours), 0.05)
        theirs.zero_grad()
        torch.autograd.backward(loss(theirs))
        assert theirs.second.weight.grad is not None
        kernels.grad = theirs.second.weight.grad.reshape(5, -1)
        muon.step()
        adamw.step()
        theirs.second.weight.data.copy_(kernels.detach().view_as(theirs.second.weight))
    close = torch.equal if form == torch.contiguous_format else partial(torch.allclose, atol=3e-4)  # bfloat16's sums
    assert all(close(one, two) for one, two in zip(weights(ours), weights(theirs), strict=True))
    assert not torch.allclose(ours.second.weight, small().second.weight, atol=2e-3)


def test_hidden_weights_are_neither_the_first_ones_nor_the_heads_nor_frozen() -> None:
    model = small()
    assert [id(one) for one in hidden_weights(model)] == [id(model.second.weight), id(model.hidden.weight)]
    model.second.requires_grad_(False)
    assert [id(one) for one in hidden_weights(model)] == [id(model.hidden.weight)]
    cnn = make_model(ModelConfig(), (3, 32, 32), 0)
    names = {id(value): name for name, value in cnn.named_parameters()}
    assert [names[id(one)] for one in hidden_weights(cnn)] == [f"encoder.1.{i}.weight" for i in (3, 7, 9)]


@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])
def test_a_resumed_optimiser_goes_on_alike(name: str) -> None:
    model, config = small(), TrainingConfig(optimiser=name, lr=0.1)
    optimiser = Optimiser(model, config)
    optimiser.step(loss(model), 0.1)
    resumed, state = copy.deepcopy(model), copy.deepcopy(optimiser.state_dict())
    other = Optimiser(resumed, config)
    other.load_state_dict(state)
    for one, of in ((optimiser, model), (other, resumed)):
        one.step(loss(of), 0.05)
    assert all(torch.equal(one, two) for one, two in zip(weights(model), weights(resumed), strict=True))


def test_an_unknown_optimiser_is_named() -> None:
    with pytest.raises(UnknownName, match=r"training\.optimiser.*adam, adamw, muon"):
        TrainingConfig(optimiser="sgd")
