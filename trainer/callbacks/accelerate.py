"""Selection in a loop of Hugging Face's Accelerate, whose `save_state` and `load_state` keep what it depends on."""

from accelerate import Accelerator
from torch import nn

from negsift.trainer.callbacks.rounds import AnySampler, SelectionRounds
from negsift.trainer.epoch_bags import EpochBags


class AcceleratedSelection(SelectionRounds):
    """Fills `bags` with the negatives that `sampler` chooses with the weights of a model that `accelerator` prepared.

    The other arguments are those of SelectionRounds. Every process makes the same calls; the main one selects.
    """

    def __init__(
        self, accelerator: Accelerator, bags: EpochBags, sampler: AnySampler, every_n_steps: int | None = None
    ) -> None:
        super().__init__(bags, sampler, every_n_steps)
        self._accelerator, self._has_started = accelerator, False
        accelerator.register_for_checkpointing(self)

    def epoch(self, epoch: int, model: nn.Module) -> None:
        """Select before the loop over an epoch's batches begins; without effect if they are those of a saved state."""
        self._start(model)
        self.at_epoch(epoch, lambda: self._accelerator.get_state_dict(model))

    def step(self, step: int, model: nn.Module) -> None:
        """Select after so many steps of the optimiser, if a round of `every_n_steps` ends with them."""
        self._start(model)
        self.at_step(step, lambda: self._accelerator.get_state_dict(model))

    def _start(self, model: nn.Module) -> None:
        if not self._has_started:
            if loaders := self._accelerator._dataloaders:  # those that it prepared; the loop may have others
                self.require_in_use(loaders, are_all=False)
            self.start(self._accelerator.unwrap_model(model))
            self._has_started = True
