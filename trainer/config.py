"""The trainer's configuration, and its metrics by name."""

from dataclasses import dataclass

from negsift.common.config import check_knobs, knob
from negsift.common.errors import BadInput, UnknownName
from negsift.common.round_policy import RoundPolicy

MOST = 1e15
"""An upper bound of k, more than any pool has, for ratios near 0."""
METRICS = {
    "ap": "average precision over bags (tied scores share a threshold)",
    "roc_auc": "area under the ROC curve over bags (tied pairs count half)",
}
"""The metrics that `metrics.bag_metrics` computes."""
KEEP = ("last", "best", "all")
"""The weights kept for `replay`: of the newest selection, also of the best epoch's, or of all."""
LOGGERS = {
    "tensorboard": "event files in the run's folder, in tensorboard/",
    "mlflow": "MLflow, where MLFLOW_TRACKING_URI says",
    "wandb": "Weights & Biases",
    "trackio": "Trackio",
}
"""The loggers that `loggers.make` makes."""
FORMATS = ("text", "json")
"""The forms of the log."""


@dataclass(frozen=True)
class SamplingConfig(RoundPolicy):
    """The number of negatives of an epoch, and the policy of the rounds that select them."""

    random_rounds: int = knob(1, "first epochs with random negatives, while scores are noise", least=0)
    staleness: int = knob(0, "epochs that the weights may be behind; above 0 selection and training overlap", least=0)
    ratio: float = knob(1.0, "positives per negative, |S+| / k", above=0)

    def __post_init__(self) -> None:
        check_knobs(self, "sampling")
        super().__post_init__()

    def negatives(self, positives: int) -> int:
        """k = round(positives / ratio). Raises BadInput if that is 0."""
        k = round(min(positives / self.ratio, MOST))
        if not k:
            found = f"no negative left by sampling.ratio={self.ratio:g} with {positives} positive bags"
            raise BadInput(found, "at least one", "lower sampling.ratio")
        return k


@dataclass(frozen=True)
class TrainingConfig:
    """The optimiser, Adam, and when training stops."""

    epochs: int = knob(12, "maximum number of epochs", least=1)
    batch: int = knob(32, "bags in a batch", least=1)
    workers: int = knob(
        1, "trainer workers, which divide every batch; more than one run on Ray Train", least=1, below=1025
    )
    lr: float = knob(1e-3, "Adam's learning rate", above=0, below=1e12)
    weight_decay: float = knob(0.0, "Adam's weight decay", least=0, below=1e12)
    patience: int = knob(5, "epochs without a better validation AP before stopping", least=1)
    beta1: float = knob(0.9, "Adam's decay rate of the mean of gradients", least=0, below=1)
    beta2: float = knob(0.999, "Adam's decay rate of the mean of squared gradients", least=0, below=1)
    halve_from: int = knob(0, "epochs before the learning rate is first halved; 0: never", least=0)
    halve_every: int = knob(5, "epochs between later halvings", least=1)
    weighted: bool = knob(False, "draw bags with replacement, both labels equally often")
    freeze: bool = knob(False, "train only the head and the pooling, not the backbone")
    mixed_precision: bool = knob(False, "train in bfloat16 if there is a GPU")
    evaluation_batch: int = knob(128, "bags in a batch of validation or test", least=1)
    threads: int = knob(
        0, "threads of training; their number changes the last bits; 0: as torch chooses", least=0, below=1025
    )
    keep_weights: str = knob("last", "weights kept of those that selected, for `replay`: last, best (and last), all")

    def __post_init__(self) -> None:
        check_knobs(self, "training")
        if self.keep_weights not in KEEP:
            raise UnknownName("training.keep_weights", self.keep_weights, KEEP)

    def learning_rate(self, epoch: int) -> float:
        """`lr`, halved after `halve_from` epochs and again after every `halve_every` more."""
        if not self.halve_from or epoch < self.halve_from:
            return self.lr
        return float(self.lr * 0.5 ** (1 + (epoch - self.halve_from) // self.halve_every))


@dataclass(frozen=True)
class AugmentConfig:
    """The augmentation of clips in training, which is off by default."""

    mixup: float = knob(0.0, "share of clips that are mixed with another clip of the epoch; clips only", least=0)
    mixup_alpha: float = knob(10.0, "the shares of a mixture are drawn from Beta(alpha, alpha)", above=0)
    freq_mask: int = knob(0, "maximum width of the mask of each clip, in mel bands; clips only", least=0)
    time_mask: int = knob(0, "maximum width of the mask of each clip, in frames; clips only", least=0)

    def __post_init__(self) -> None:
        check_knobs(self, "augment")
        if self.mixup > 1:
            raise BadInput(f"augment.mixup={self.mixup}", "a share between 0 and 1", "correct augment.mixup")

    @property
    def enabled(self) -> bool:
        """Whether clips are augmented at all."""
        return self.mixup > 0 or self.freq_mask > 0 or self.time_mask > 0


@dataclass(frozen=True)
class LogConfig:
    """Where the numbers of a run go besides its folder, and the form of its log."""

    to: tuple[str, ...] | None = knob(
        None, f"loggers of the run's numbers, any of {', '.join(LOGGERS)}; none: its files"
    )
    project: str = knob("negsift", "project or experiment of mlflow, wandb and trackio")
    format: str = knob("text", "the log of `train`: text, or json: an object a line, an epoch's with all of its record")

    def __post_init__(self) -> None:
        check_knobs(self, "log")
        for name in self.names:
            if name not in LOGGERS:
                raise UnknownName("log.to", name, LOGGERS)
        if self.format not in FORMATS:
            raise UnknownName("log.format", str(self.format), FORMATS)

    @property
    def names(self) -> tuple[str, ...]:
        """The loggers, each once."""
        return tuple(dict.fromkeys(self.to or ()))
