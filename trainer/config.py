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
    beta1: float = knob(0.9, "Adam's decay of the mean of gradients")
    beta2: float = knob(0.999, "Adam's decay of the mean of their squares")
    halve_from: int = knob(0, "epochs before the learning rate is halved for the first time; 0: never")
    halve_every: int = knob(5, "epochs between later halvings")
    patience: int = knob(5, "epochs without a better validation AP before stopping")
    weighted: bool = knob(False, "draw bags with replacement, both labels equally often")
    mixed_precision: bool = knob(False, "bfloat16 in training where it pays, on a GPU")
    evaluation_batch: int = knob(128, "bags in a batch of validation or test")

    def __post_init__(self) -> None:
        counts = self.epochs, self.batch, self.patience, self.halve_every, self.evaluation_batch
        if min(counts) < 1 or self.lr <= 0 or min(self.weight_decay, self.halve_from) < 0:
            raise BadInput(str(self), "epochs, batches, patience at least 1, lr above 0", "correct --set")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise BadInput(f"betas {self.beta1}, {self.beta2}", "both at least 0 and below 1", "correct --set")

    def learning_rate(self, epoch: int) -> float:
        """`lr`, halved after `halve_from` epochs and every `halve_every` epochs after that."""
        if not self.halve_from or epoch < self.halve_from:
            return self.lr
        return float(self.lr * 0.5 ** (1 + (epoch - self.halve_from) // self.halve_every))
