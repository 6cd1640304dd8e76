"""A callback for Lightning: the negatives of every epoch, or of every n steps, chosen within `Trainer.fit`."""

from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from negsift.common.weights import Weights
from negsift.trainer.callbacks.rounds import AnySampler, SelectionRounds
from negsift.trainer.epoch_bags import EpochBags


class LightningSelection(Callback):
    """Fills `bags`, the training dataset, with the negatives that `sampler` chooses with the module's weights.

    `part` names the submodule that the sampler was made of; the other arguments are those of SelectionRounds. Negatives
    are chosen before checkpoints and DataLoader workers need them: at the epoch's end before, or when a run goes on.
    """

    def __init__(self, bags: EpochBags, sampler: AnySampler, every_n_steps: int | None = None, part: str = "") -> None:
        self._rounds, self._part, self._first = SelectionRounds(bags, sampler, every_n_steps), part, 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: D102
        if stage == "fit":
            self._rounds.start(pl_module.get_submodule(self._part))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        if self._first != trainer.max_epochs:
            self._rounds.at_epoch(self._first, self._weights(trainer))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        self._rounds.require_in_use(trainer.train_dataloader)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        self._rounds.at_epoch(trainer.current_epoch, self._weights(trainer))

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:  # noqa: D102
        self._rounds.at_step(trainer.global_step, self._weights(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        if trainer.current_epoch + 1 != trainer.max_epochs:
            self._rounds.at_epoch(trainer.current_epoch + 1, self._weights(trainer))

    def state_dict(self) -> dict[str, Any]:  # noqa: D102
        return self._rounds.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:  # noqa: D102
        self._rounds.load_state_dict(state_dict)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: D102
        self._first = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]

    def teardown(self, *_: Any, **stage: Any) -> None:  # noqa: D102
        self._rounds.close()

    on_exception = teardown

    def _weights(self, trainer: Trainer) -> Callable[[], Weights]:
        prefix, whole = f"{self._part}." if self._part else "", trainer.strategy.lightning_module_state_dict
        return lambda: {name[len(prefix) :]: value for name, value in whole().items() if name.startswith(prefix)}
