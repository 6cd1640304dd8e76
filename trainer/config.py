"""The trainer's knobs."""

from dataclasses import dataclass

from common.config import knob
from common.errors import BadInput
from common.knobs import check_knobs

MOST = 1e15
"""More negatives than any pool has: a ratio near 0 asks for no more than that."""


@dataclass(frozen=True)
class SamplingConfig:
    """How many negatives, and how often they are chosen anew."""

    ratio: float = knob(1.0, "positives to negatives, |S+| / k", above=0)
    every: int = knob(1, "epochs between selections", least=1)
    random_rounds: int = knob(1, "first epochs picked at random, while scores are noise", least=0)

    def __post_init__(self) -> None:
        check_knobs(self, "sampling")

    def negatives(self, positives: int) -> int:
        """k for so many positives: round(|S+| / ratio); raises BadInput where that is none."""
        k = round(min(positives / self.ratio, MOST))
        if not k:
            found = f"no negative left by sampling.ratio={self.ratio:g} with {positives} positive bags"
            raise BadInput(found, "one at least", "lower --set sampling.ratio")
        return k


@dataclass(frozen=True)
class TrainingConfig:
    """The optimiser (Adam) and when to stop."""

    epochs: int = knob(12, "epochs at most", least=1)
    batch: int = knob(32, "bags in a batch", least=1)
    lr: float = knob(1e-3, "Adam's learning rate", above=0, below=1e12)
    weight_decay: float = knob(0.0, "Adam's weight decay", least=0, below=1e12)
    patience: int = knob(5, "epochs without a better validation AP before stopping", least=1)
    weighted: bool = knob(False, "draw bags with replacement, both labels equally often")

    def __post_init__(self) -> None:
        check_knobs(self, "training")
