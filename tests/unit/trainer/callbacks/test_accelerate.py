"""Selection in a loop of Accelerate's, and in one that goes on."""

from contextlib import closing
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tests.unit.trainer.callbacks.toy_loop import Network, Recorder, accelerator, epoch_bags, loss_of, recorder

pytest.importorskip("accelerate")
from negsift.trainer.callbacks.accelerate import AcceleratedSelection  # where it is installed

pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own code is warned about


def train(folder: Path, epochs: range, every_n_steps: int | None = None) -> Recorder:
    """Trains some epochs, from a saved state unless they begin with the first, and saves it."""
    ours = accelerator()
    network, bags, made = Network(), epoch_bags(), list[Recorder]()
    optimiser = torch.optim.Adam(network.parameters(), 0.05)
    model, optimiser, loader = ours.prepare(network, optimiser, DataLoader(bags, 4, shuffle=True))
    selection = AcceleratedSelection(ours, bags, lambda net: made.append(recorder(net)) or made[0], every_n_steps)  # type: ignore[func-returns-value]  # fmt: skip
    if epochs.start:
        ours.load_state(folder)
    for epoch in epochs:
        selection.epoch(epoch, model)
        torch.manual_seed(epoch)
        for step, (batch, label, weight) in enumerate(loader, epoch * len(loader) + 1):
            ours.backward(loss_of(model(batch), label, weight))
            optimiser.step()
            optimiser.zero_grad()
            selection.step(step, model)
    ours.save_state(folder)
    selection.close()
    return made[0]


def test_a_loop_that_goes_on_selects_as_an_undisturbed_one(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", range(4))
    first, rest = train(tmp_path / "cut", range(2)), train(tmp_path / "cut", range(2, 4))
    assert whole.picks == first.picks | rest.picks
    assert list(rest.picks) == [2, 3]
    assert rest.closed


def test_rounds_may_be_of_steps(tmp_path: Path) -> None:
    assert list(train(tmp_path, range(2), every_n_steps=3).picks) == [0, 1, 2]  # of 8 steps


def test_prepared_loaders_of_other_bags_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    ours, bags = accelerator(), epoch_bags()
    model, _ = ours.prepare(Network(), DataLoader(TensorDataset(torch.zeros(8, 3)), 4))
    with closing(AcceleratedSelection(ours, bags, recorder)) as selection:
        selection.epoch(0, model)
    assert (
        "a training loader of TensorDataset, without the EpochBags of the callback: unless it reads them" in caplog.text
    )
