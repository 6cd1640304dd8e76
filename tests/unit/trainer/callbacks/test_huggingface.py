"""Selection within Hugging Face's Trainer: every epoch or step, and in a run that goes on."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from torch import Tensor

from negsift.common.errors import BadInput
from negsift.service import NegativeSampler
from negsift.trainer.epoch_bags import EpochBags
from tests.unit.trainer.callbacks.toy_loop import POOL, POSITIVES, K, Network, Recorder, loss_of

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
from negsift.trainer.callbacks.huggingface import HuggingFaceSelection  # noqa: E402  # where it is installed

pytestmark = pytest.mark.filterwarnings("ignore")  # the library advises, and its own code is warned about
ROWS, POSITIVE_ROWS = [{"bags": bag} for bag in POOL], [{"bags": bag} for bag in POSITIVES]


class Classifier(Network):
    """Gives loss and logits, as models of the library do."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = list[float]()

    def forward(self, bags: Tensor, labels: Tensor | None = None, weight: Tensor | None = None) -> dict[str, Tensor]:  # type: ignore[override]  # as above
        logits = super().forward(bags)
        if labels is None or weight is None:
            return {"logits": logits}
        self.seen += bags[labels == 0].sum((1, 2)).tolist()
        return {"loss": loss_of(logits, labels, weight), "logits": logits}


class CrashError(Exception):
    """Ends training."""


class Stop(transformers.TrainerCallback):  # type: ignore[misc, name-defined]  # of no known type
    """Ends training as a crash does, after so many steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # Any: the library's own
        if state.global_step == self.step:
            raise CrashError


def recorder(model: torch.nn.Module) -> Recorder:
    """A sampler that batches rows as the Trainer does."""
    return Recorder(
        NegativeSampler(
            ROWS, model, strategy="svm_margin", k=K, shards=2, positives=POSITIVE_ROWS, fleet="local",
            collate=transformers.default_data_collator,
        )
    )  # fmt: skip


def train(
    folder: Path, *callbacks: Any, resume: str | None = None, save: str = "epoch", workers: int = 0, **options: Any
) -> tuple[Recorder, Classifier]:  # Any: the library's callbacks; HuggingFaceSelection's own
    torch.manual_seed(0)
    model, bags, made = Classifier(), EpochBags(POSITIVE_ROWS, ROWS, K), list[Recorder]()
    selection = HuggingFaceSelection(bags, lambda net: made.append(recorder(net)) or made[0], **options)  # type: ignore[func-returns-value]
    arguments = transformers.TrainingArguments(
        str(folder), num_train_epochs=4, per_device_train_batch_size=4, learning_rate=0.05, use_cpu=True, report_to=[],
        save_strategy=save, save_steps=6, logging_strategy="no", disable_tqdm=True, dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
    )  # fmt: skip
    trainer = transformers.Trainer(model, arguments, train_dataset=bags, callbacks=[selection, *callbacks])
    with suppress(CrashError):
        trainer.train(resume_from_checkpoint=resume and str(folder / resume))
    return made[0], model


@pytest.mark.parametrize("workers", [0, 1])
def test_every_epoch_trains_on_the_negatives_chosen_for_it(tmp_path: Path, workers: int) -> None:
    sampler, model = train(tmp_path, workers=workers)
    assert list(sampler.picks) == [0, 1, 2, 3]
    assert sampler.closed
    for epoch, picks in sampler.picks.items():
        expected = sorted(float(POOL[pick].sum()) for pick in picks)
        assert sorted(model.seen[epoch * K : (epoch + 1) * K]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("save", "crash", "resume"), [("epoch", 9, "checkpoint-8"), ("steps", 7, "checkpoint-6")])
def test_a_run_that_goes_on_selects_as_an_undisturbed_one(tmp_path: Path, save: str, crash: int, resume: str) -> None:
    whole, model = train(tmp_path / "whole", save=save)
    train(tmp_path / "cut", Stop(crash), save=save)
    rest, again = train(tmp_path / "cut", save=save, resume=resume)
    assert rest.picks == {epoch: whole.picks[epoch] for epoch in (2, 3)}
    assert again.seen == model.seen[len(model.seen) - len(again.seen) :]


def test_rounds_may_be_of_steps(tmp_path: Path) -> None:
    sampler, _ = train(tmp_path, save="no", every_n_steps=5)
    assert list(sampler.picks) == [0, 1, 2, 3]  # of 16 steps


def test_a_train_dataset_of_other_bags_is_refused_before_a_sampler_is_made(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"bags": [bag.tolist() for bag in POOL], "labels": [0] * len(POOL)})
    selection = HuggingFaceSelection(EpochBags(POSITIVE_ROWS, ROWS, K), pytest.fail)
    arguments = transformers.TrainingArguments(str(tmp_path), use_cpu=True, report_to=[], save_strategy="no")
    trainer = transformers.Trainer(Classifier(), arguments, train_dataset=rows, callbacks=[selection])
    with pytest.raises(
        BadInput, match="a training loader of Dataset, without the EpochBags of the callback; .*; train"
    ):
        trainer.train()
