"""A callback for Hugging Face's Trainer: the negatives of every epoch, or of every n steps, chosen within `train`."""

import base64
import io
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from negsift.common.models.copying import unwrapped
from negsift.common.weights import Weights
from negsift.trainer.callbacks.rounds import AnySampler, SelectionRounds
from negsift.trainer.epoch_bags import EpochBags

_KEY = "negsift"


class HuggingFaceSelection(TrainerCallback):
    """Fills `bags`, the `train_dataset`, with the negatives that `sampler` chooses with the trainer's model.

    The arguments are those of SelectionRounds. The state is in the checkpoints' `trainer_state.json`.
    """

    def __init__(self, bags: EpochBags, sampler: AnySampler, every_n_steps: int | None = None) -> None:
        self._rounds = SelectionRounds(bags, sampler, every_n_steps)

    def on_train_begin(  # noqa: D102
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._rounds.require_in_use(kwargs["train_dataloader"])
        self._rounds.start(unwrapped(kwargs["model"]))
        if _KEY in state.stateful_callbacks:
            saved = io.BytesIO(base64.b64decode(state.stateful_callbacks[_KEY]["state"]))
            self._rounds.load_state_dict(torch.load(saved, weights_only=True))

    def on_epoch_begin(  # noqa: D102
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._rounds.at_epoch(int((state.epoch or 0.0) + 1e-6), _weights(kwargs["model"]))
        self._save(state)

    def on_step_end(  # noqa: D102
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._rounds.at_step(state.global_step, _weights(kwargs["model"])):
            self._save(state)

    def on_train_end(self, *_: Any, **__: Any) -> None:  # noqa: D102
        self._rounds.close()

    def _save(self, state: TrainerState) -> None:
        saved = io.BytesIO()
        torch.save(self._rounds.state_dict(), saved)
        state.stateful_callbacks[_KEY] = {"args": {}, "state": base64.b64encode(saved.getvalue()).decode()}


def _weights(model: nn.Module) -> Callable[[], Weights]:
    return unwrapped(model).state_dict
