"""A callback for Lightning: the negatives of every epoch, or of every n steps, chosen within `Trainer.fit`."""

from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from negsift.common.protocols import Sampler
from negsift.common.weights import Weights
from negsift.trainer.callbacks.rounds import MakeSampler, SelectionRounds
from negsift.trainer.epoch_bags import EpochBags


class LightningSelection(Callback):
    """Fills `bags`, the training dataset, with the negatives that `sampler` chooses with the module's weights.

    `part` is the name of the submodule that the sampler was made of; by default it is the module itself. The other
    arguments are those of SelectionRounds. An epoch's negatives are chosen at the end of the one before, so that
    checkpoints have them, and DataLoader workers, which start early; but not after the last of `max_epochs`.
    """

    def __init__(
        self, bags: EpochBags, sampler: Sampler | MakeSampler, every_n_steps: int | None = None, part: str = ""
    ) -> None:
        self._rounds, self._part = SelectionRounds(bags, sampler, every_n_steps), part

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: D102
        if stage == "fit":
            self._rounds.start(pl_module.get_submodule(self._part))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: D102
        if self._rounds.round is None:
            self._rounds.at_epoch(0, self._weights(trainer))

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

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: D102
        self._rounds.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: D102
        self._rounds.close()

    def _weights(self, trainer: Trainer) -> Callable[[], Weights]:
        prefix = f"{self._part}." if self._part else ""
        whole = trainer.strategy.lightning_module_state_dict
        return lambda: {name[len(prefix) :]: value for name, value in whole().items() if name.startswith(prefix)}
