"""The trainer's knobs."""

from dataclasses import dataclass

from common.config import knob
from common.errors import BadInput


@dataclass(frozen=True)
class SamplingConfig:
    """How many negatives, and how often they are chosen anew."""

    ratio: float = knob(1.0, "positives to negatives, |S+| / k")
    every: int = knob(1, "epochs between selections")
    random_rounds: int = knob(1, "first epochs picked at random, while scores are noise")

    def __post_init__(self) -> None:
        if self.ratio <= 0 or self.every < 1 or self.random_rounds < 0:
            raise BadInput(str(self), "ratio above 0, every at least 1, random_rounds at least 0", "correct --set")

    def negatives(self, positives: int) -> int:
        """k for so many positives: round(|S+| / ratio)."""
        return round(positives / self.ratio)


@dataclass(frozen=True)
class TrainingConfig:
    """The optimiser (Adam) and when to stop."""

    epochs: int = knob(12, "epochs at most")
    batch: int = knob(32, "bags in a batch")
    lr: float = knob(1e-3, "Adam's learning rate")
    weight_decay: float = knob(0.0, "Adam's weight decay")
    patience: int = knob(5, "epochs without a better validation AP before stopping")
    weighted: bool = knob(False, "draw bags with replacement, both labels equally often")

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.patience) < 1 or self.lr <= 0 or self.weight_decay < 0:
            raise BadInput(str(self), "epochs, batch, patience at least 1, lr above 0", "correct --set")
