"""Selection within Lightning's own loop: every epoch or step, with workers, and in a run that goes on."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from negsift.common.errors import BadInput
from negsift.trainer.epoch_bags import EpochBags
from tests.unit.trainer.callbacks.toy_loop import POSITIVES, Network, Recorder, epoch_bags, loss_of, recorder

lightning = pytest.importorskip("lightning.pytorch")
from lightning.pytorch.callbacks import Callback, ModelCheckpoint  # noqa: E402  # where it is installed

from negsift.trainer.callbacks.lightning import LightningSelection  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning advises, and its own code is warned about


class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]  # of no known type
    """Trains a part, and records the sum of the negatives that it sees in each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.seen = Network(), dict[int, float]()

    def forward(self, bags: Tensor) -> Tensor:
        output: Tensor = self.net(bags)
        return output

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        bags, label, weight = batch
        epoch = self.current_epoch
        self.seen[epoch] = self.seen.get(epoch, 0.0) + float(bags[label == 0].double().sum())
        return loss_of(self(bags), label, weight)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.05)


class CrashError(Exception):
    """Ends training."""


class Stop(Callback):
    """Ends training as a crash does, when an epoch begins."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # Any: Lightning's own
        if trainer.current_epoch == self.epoch:
            raise CrashError


def fit(
    folder: Path, epochs: int, *callbacks: Callback, sampler: Callable[[Any], Recorder] = recorder, resume: bool = False,
    workers: int = 0, loader: type[DataLoader[Any]] = DataLoader, **options: Any,
) -> tuple[Recorder, Module, EpochBags]:  # Any: LightningSelection's own  # fmt: skip
    module, bags, made = Module(), epoch_bags(), list[Recorder]()
    selection = LightningSelection(bags, lambda model: made.append(sampler(model)) or made[0], **options)  # type: ignore[func-returns-value]
    saving = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[saving, selection, *callbacks],
    )  # fmt: skip
    batches = loader(bags, 4, num_workers=workers, persistent_workers=workers > 0, multiprocessing_context="fork" if workers else None)  # fmt: skip
    with suppress(CrashError):
        trainer.fit(module, batches, ckpt_path=folder / "epoch=1.ckpt" if resume else None)
    assert made[0].closed
    return made[0], module, bags


@pytest.mark.parametrize("workers", [0, 1])
def test_every_epoch_trains_on_the_negatives_chosen_for_it(tmp_path: Path, workers: int) -> None:
    sampler, module, bags = fit(tmp_path, 3, workers=workers)
    assert list(sampler.picks) == [0, 1, 2]
    assert sampler.picks[1] != sampler.picks[2]
    for epoch, picks in sampler.picks.items():
        assert module.seen[epoch] == pytest.approx(
            float(sum(bags.pool[pick].double().sum() for pick in picks)), rel=1e-6
        )


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_goes_on_selects_as_an_undisturbed_one(tmp_path: Path, crash: bool, workers: int) -> None:
    whole, module, _ = fit(tmp_path / "whole", 4)
    fit(tmp_path / "cut", 4 if crash else 2, *([Stop(2)] if crash else []))
    rest, again, _ = fit(tmp_path / "cut", 4, resume=True, workers=workers)
    assert {**{2: whole.picks[2]}, **rest.picks} == {epoch: whole.picks[epoch] for epoch in (2, 3)}
    assert again.seen == {epoch: module.seen[epoch] for epoch in (2, 3)}


@pytest.mark.parametrize(("epochs", "expected"), [(4, [[2], [2, 3]]), (2, [[]])])
def test_a_run_that_goes_on_with_more_epochs_selects_before_workers_start(
    tmp_path: Path, epochs: int, expected: list[list[int]]
) -> None:
    made, begun = list[Recorder](), list[list[int]]()

    class Loader(DataLoader[Any]):
        def __iter__(self) -> Any:  # Any: torch's own
            begun.append(list(made[0].picks))
            return super().__iter__()

    fit(tmp_path, 2)
    fit(tmp_path, epochs, sampler=lambda model: made.append(recorder(model)) or made[0], resume=True, loader=Loader)  # type: ignore[func-returns-value]
    assert begun == expected


def test_rounds_may_be_of_steps_and_the_sampler_of_a_part(tmp_path: Path) -> None:
    sampler, *_ = fit(tmp_path, 2, sampler=lambda net: recorder(net, "entropy"), every_n_steps=3, part="net")
    steps = 2 * 2 * len(POSITIVES) // 4
    assert list(sampler.picks) == list(range(steps // 3 + 1))


def test_a_training_loader_of_other_bags_is_refused() -> None:
    made = list[Recorder]()
    selection = LightningSelection(epoch_bags(), lambda net: made.append(recorder(net)) or made[0])  # type: ignore[func-returns-value]
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[selection], enable_checkpointing=False,
    )  # fmt: skip
    with pytest.raises(
        BadInput, match="a training loader of TensorDataset, without the EpochBags of the callback; .*; train"
    ):
        trainer.fit(Module(), DataLoader(TensorDataset(torch.stack(POSITIVES)), 4, shuffle=True))
    assert made[0].closed
