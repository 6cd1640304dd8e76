"""How much of a run is over, and how much is left: by its budget of bags, or by its epochs."""

from dataclasses import dataclass

from negsift.trainer.config import TrainingConfig

FORWARDS = 3
"""Training a bag costs about as much as scoring three: a backward pass takes twice the operations of a forward one."""


@dataclass(frozen=True)
class Budget:
    """The budget of a run, if it has one; a cost is the bags trained and a third of those scored."""

    config: TrainingConfig

    def is_spent(self, cost: float) -> bool:
        """Whether what `cost` leaves of the budget is less than a batch."""
        return bool(self.config.budget) and self.config.budget - cost < self.config.batch

    def left(self, cost: float, bags: int) -> int:
        """How many of an epoch's `bags` may be trained after `cost`: all, or what is left, but a batch at least."""
        if not self.config.budget:
            return bags
        return min(bags, max(self.config.batch, int(self.config.budget - cost)))

    def span(self, epoch: int, cost: float, bags: int) -> tuple[float, float]:
        """The shares of the run that are over before and after an `epoch` of so many bags."""
        if not self.config.budget:
            return epoch / self.config.epochs, (epoch + 1) / self.config.epochs
        return min(1.0, cost / self.config.budget), min(1.0, (cost + bags) / self.config.budget)
