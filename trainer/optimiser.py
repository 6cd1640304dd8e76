"""The optimiser of a run: Adam, AdamW, or Muon for hidden layers beside AdamW for the rest."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from negsift.trainer.config import TrainingConfig


class Optimiser:
    """Takes steps of `config.optimiser` on the parameters of `model`, at a rate that is given for each step.

    With `muon` the weights of hidden layers, which are those with two axes or more but for the first one and the
    head's, take steps of torch's Muon (Jordan, 2024; momentum .95, five Newton-Schulz iterations) at `muon_lr` in place
    of `lr`; a convolution's kernels are rows of its matrix. All others are AdamW's.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self._lr, self._muon_lr = config.lr, config.muon_lr
        hidden = list(hidden_weights(model)) if config.optimiser == "muon" else []
        others = [p for p in model.parameters() if all(p is not one for one in hidden)]
        kind = torch.optim.Adam if config.optimiser == "adam" else torch.optim.AdamW
        betas = (config.beta1, config.beta2)
        self._adam = kind(others, config.lr, betas, weight_decay=config.weight_decay)
        # A matrix shares the memory of its weight, so a step on one moves the other.
        self._matrices = [
            (weight, nn.Parameter(weight.detach().permute(_axes(weight)).view(len(weight), -1))) for weight in hidden
        ]
        matrices = [matrix for _, matrix in self._matrices]
        self._muon: torch.optim.Optimizer | None = None
        if matrices:
            self._muon = torch.optim.Muon(matrices, config.muon_lr, weight_decay=config.weight_decay)

    def step(self, loss: Tensor, rate: float) -> None:
        """One step down the gradient of `loss`, at a `rate` on the scale of `lr`."""
        self._adam.zero_grad()
        for weight, _ in self._matrices:
            weight.grad = None
        torch.autograd.backward(loss)  # Tensor.backward is untyped, and calls this
        _set_rate(self._adam, rate)
        self._adam.step()
        if self._muon is not None:
            for weight, matrix in self._matrices:
                grad = weight.grad
                matrix.grad = None if grad is None else grad.permute(_axes(weight)).reshape(matrix.shape)
            _set_rate(self._muon, rate / self._lr * self._muon_lr)
            self._muon.step()

    def state_dict(self) -> dict[str, Any]:  # Any: torch's own state dicts
        """The state of each of its parts."""
        state = {"optimiser": self._adam.state_dict()}
        return state if self._muon is None else state | {"muon": self._muon.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # Any: as above
        """Continue from a `state_dict`."""
        self._adam.load_state_dict(state["optimiser"])
        if self._muon is not None:
            self._muon.load_state_dict(state["muon"])


def hidden_weights(model: nn.Module) -> Iterator[nn.Parameter]:
    """The trained weights with two axes or more, but for the first one of the model and those of its head."""
    head = getattr(model, "head", None)
    of_head = set(map(id, head.parameters())) if isinstance(head, nn.Module) else set()
    weights = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    return (one for one in weights[1:] if id(one) not in of_head and one.requires_grad)


def _axes(weight: Tensor) -> list[int]:
    """The weight's axes in memory's order, in which each row is one piece; a kernel may have its channels last."""
    first, *others = range(weight.ndim)
    return [first, *sorted(others, key=weight.stride().__getitem__, reverse=True)]


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
