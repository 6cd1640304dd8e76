"""The trainer's configuration, and its metrics by name."""

from dataclasses import dataclass

from negsift.common.config import check_knobs, knob
from negsift.common.errors import BadInput
from negsift.common.round_policy import RoundPolicy

MOST = 1e15
"""More negatives than any pool has: a ratio near 0 asks for no more than that."""
METRICS = {
    "ap": "average precision over bags (step sum, tied scores together)",
    "roc_auc": "area under the ROC curve over bags (ties half)",
}
"""What `metrics.bag_metrics` gives."""


@dataclass(frozen=True)
class SamplingConfig(RoundPolicy):
    """How many negatives an epoch, and the policy of the rounds that select them."""

    random_rounds: int = knob(1, "first epochs picked at random, while scores are noise", least=0)
    staleness: int = knob(0, "epochs weights may be behind: 0 select, then train; above 0 both at once", least=0)
    ratio: float = knob(1.0, "positives to negatives, |S+| / k", above=0)

    def __post_init__(self) -> None:
        check_knobs(self, "sampling")
        super().__post_init__()

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
    workers: int = knob(1, "trainer workers, of Ray Train if above 1; they divide every batch among them", least=1)
    lr: float = knob(1e-3, "Adam's learning rate", above=0, below=1e12)
    weight_decay: float = knob(0.0, "Adam's weight decay", least=0, below=1e12)
    patience: int = knob(5, "epochs without a better validation AP before stopping", least=1)
    beta1: float = knob(0.9, "Adam's decay of the mean of gradients", least=0, below=1)
    beta2: float = knob(0.999, "Adam's decay of the mean of their squares", least=0, below=1)
    halve_from: int = knob(0, "epochs before the learning rate is halved for the first time; 0: never", least=0)
    halve_every: int = knob(5, "epochs between later halvings", least=1)
    weighted: bool = knob(False, "draw bags with replacement, both labels equally often")
    freeze: bool = knob(False, "train the head and the pooling alone; the backbone stays as it is")
    mixed_precision: bool = knob(False, "bfloat16 in training where it pays, on a GPU")
    evaluation_batch: int = knob(128, "bags in a batch of validation or test", least=1)

    def __post_init__(self) -> None:
        check_knobs(self, "training")

    def learning_rate(self, epoch: int) -> float:
        """`lr`, halved after `halve_from` epochs and every `halve_every` epochs after that."""
        if not self.halve_from or epoch < self.halve_from:
            return self.lr
        return float(self.lr * 0.5 ** (1 + (epoch - self.halve_from) // self.halve_every))


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to clips in training; all off by default."""

    mixup: float = knob(0.0, "share of clips that are mixed with another of the epoch's; clips only", least=0)
    mixup_alpha: float = knob(10.0, "shares are drawn from Beta(alpha, alpha)", above=0)
    freq_mask: int = knob(0, "mel bands masked at most, once a clip; clips only", least=0)
    time_mask: int = knob(0, "frames masked at most, once a clip; clips only", least=0)

    def __post_init__(self) -> None:
        check_knobs(self, "augment")
        if self.mixup > 1:
            raise BadInput(f"augment.mixup={self.mixup}", "a share between 0 and 1", "correct augment.mixup")

    @property
    def wanted(self) -> bool:
        """Whether anything is to be done."""
        return self.mixup > 0 or self.freq_mask > 0 or self.time_mask > 0
