"""How much of a run is over, and how much is left: by its budget of bags or of seconds, or by its epochs."""

from dataclasses import dataclass

from negsift.trainer.config import TrainingConfig

FORWARDS = 3
"""Training a bag costs about as much as scoring three: a backward pass takes twice the operations of a forward one."""


@dataclass(frozen=True)
class Spent:
    """What a run has spent: `bags` trained and a third of those scored, and `seconds` in selecting and training; those
    of its `last` epoch are what the next one is expected to take.
    """

    bags: float = 0.0
    seconds: float = 0.0
    last: float = 0.0


@dataclass(frozen=True)
class Budget:
    """The budget of a run, of bags, of seconds or of both, if it has one."""

    config: TrainingConfig

    def is_spent(self, spent: Spent) -> bool:
        """Whether what is left of the budget is less than a batch, or than another epoch takes."""
        bags, seconds = self.config.budget, self.config.seconds
        too_long = bool(seconds) and spent.seconds > 0 and spent.seconds + spent.last > seconds
        return too_long or (bool(bags) and bags - spent.bags < self.config.batch)

    def left(self, spent: Spent, bags: int) -> int:
        """How many of an epoch's `bags` may be trained: all, or what is left, but a batch at least."""
        if not self.config.budget:
            return bags
        return min(bags, max(self.config.batch, int(self.config.budget - spent.bags)))

    def span(self, epoch: int, spent: Spent, bags: int) -> tuple[float, float]:
        """The shares of the run that are over before and after an `epoch` of so many bags, by what is used up first."""
        spans = []
        if self.config.budget:
            spans.append((spent.bags / self.config.budget, (spent.bags + bags) / self.config.budget))
        if self.config.seconds:
            spans.append((spent.seconds / self.config.seconds, (spent.seconds + spent.last) / self.config.seconds))
        if not spans:
            spans.append((epoch / self.config.epochs, (epoch + 1) / self.config.epochs))
        return min(1.0, max(start for start, _ in spans)), min(1.0, max(end for _, end in spans))
