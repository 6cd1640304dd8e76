"""The trainer's configuration, and its metrics by name."""

from dataclasses import dataclass, field

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
WALK = "walk"
"""The name of choosing positives in turn."""
LOGGERS = {
    "tensorboard": "event files in the run's folder, in tensorboard/",
    "mlflow": "MLflow, where MLFLOW_TRACKING_URI says",
    "wandb": "Weights & Biases",
    "trackio": "Trackio",
}
"""The loggers that `loggers.make` makes."""
PRIORS = ("none", "balanced", "natural")
"""How much negatives weigh in an epoch, beside a number; see `TrainingConfig.negative_share`."""
OPTIMISERS = {
    "adam": "Adam, its weight decay added to the gradient",
    "adamw": "Adam with decoupled weight decay",
    "muon": "Muon for the weights of hidden layers, AdamW for the rest",
}
"""The optimisers that `optimiser.Optimiser` makes."""
SCHEDULES = {
    "steps": "the peak, halved as halve_from and halve_every say",
    "linear": "from the peak to 0 over the run, or over its budget",
}
"""What the learning rate does in a run."""
CORRECTIONS = {
    "weight": "the inverse of a negative's chance is its weight in the loss",
    "offset": "the log-odds of every bag are raised by the logarithm of that inverse",
}
"""How the loss allows for negatives that were drawn by chance; see `log_odds`."""
FORMATS = ("text", "json")
"""The forms of the log."""


@dataclass(frozen=True)
class SamplingConfig(RoundPolicy):
    """The number of negatives of an epoch, and the policy of the rounds that select them."""

    random_rounds: int = knob(1, "first epochs with random negatives, while scores are noise", least=0)
    staleness: int = knob(0, "epochs that the weights may be behind; above 0 selection and training overlap", least=0)
    ratio: float = knob(1.0, "positives per negative, |S+| / k", above=0)
    positives: int = knob(0, "positive bags of an epoch; 0: all", least=0)
    positives_by: str = knob("walk", "which: each in its turn without replacement (walk), or by a strategy")

    def __post_init__(self) -> None:
        check_knobs(self, "sampling")
        super().__post_init__()
        if self.score == "memory" and self.random_rounds <= self.staleness:
            found = f"sampling.score=memory with sampling.random_rounds={self.random_rounds}"
            expected = f"more than sampling.staleness, {self.staleness}, since nothing is remembered before"
            raise BadInput(found, expected, "raise sampling.random_rounds")

    def negatives(self, positives: int) -> int:
        """k = round(|S+| / ratio), of the positive bags of an epoch. Raises BadInput if that is 0."""
        positives = min(self.positives or positives, positives)
        k = round(min(positives / self.ratio, MOST))
        if not k:
            found = f"no negative left by sampling.ratio={self.ratio:g} with {positives} positive bags"
            raise BadInput(found, "at least one", "lower sampling.ratio")
        return k


@dataclass(frozen=True)
class InstanceLossConfig:
    """The loss of single instances, each of which inherits its bag's label: its weights beside the bag's loss."""

    positive: float = knob(0.0, "weight of the mean loss of a positive bag's instances", least=0, below=1e12)
    negative: float = knob(0.0, "weight of the mean loss of a negative bag's instances", least=0, below=1e12)
    top: bool = knob(False, "of a positive bag only the most positive instance counts")

    def __post_init__(self) -> None:
        check_knobs(self, "training.instance_loss")

    @property
    def enabled(self) -> bool:
        """Whether instances have a loss at all."""
        return self.positive > 0 or self.negative > 0


@dataclass(frozen=True)
class TrainingConfig:
    """The loss, the optimiser, Adam, and when training stops."""

    epochs: int = knob(12, "maximum number of epochs", least=1)
    budget: float = knob(
        0.0, "bags trained, and a third of those scored, before a run ends; 0: `epochs` alone", least=0, below=MOST
    )
    seconds: float = knob(
        0.0, "seconds of selecting and training before a run ends; 0: no limit. Runs then differ", least=0, below=MOST
    )
    batch: int = knob(32, "bags in a batch", least=1)
    stratified: bool = knob(False, "have both labels in every batch, in the epoch's proportion")
    prior: str = knob("none", "weight of negatives over that of positives: none (as drawn), balanced, natural, or X")
    correction: str = knob("weight", f"how the loss allows for a draw by ht_gumbel: {' or '.join(CORRECTIONS)}")
    bag_loss: float = knob(1.0, "weight of the loss of bags", least=0, below=1e12)
    instance_loss: InstanceLossConfig = field(default_factory=InstanceLossConfig)
    workers: int = knob(
        1, "trainer workers, which divide every batch; more than one run on Ray Train", least=1, below=1025
    )
    optimiser: str = knob("adam", f"what takes the steps: {', '.join(OPTIMISERS)}")
    lr: float = knob(1e-3, "Adam's learning rate, or its peak", above=0, below=1e12)
    muon_lr: float = knob(0.02, "Muon's learning rate, or its peak", above=0, below=1e12)
    schedule: str = knob("steps", f"the learning rate over a run: {' or '.join(SCHEDULES)}")
    warmup: float = knob(0.0, "share of a linear schedule in which the rate rises to its peak", least=0, below=1)
    weight_decay: float = knob(0.0, "Adam's weight decay", least=0, below=1e12)
    patience: int = knob(5, "epochs without a better validation AP before stopping", least=1)
    beta1: float = knob(0.9, "Adam's decay rate of the mean of gradients", least=0, below=1)
    beta2: float = knob(0.999, "Adam's decay rate of the mean of squared gradients", least=0, below=1)
    halve_from: int = knob(0, "epochs before the learning rate is first halved; 0: never", least=0)
    halve_every: int = knob(5, "epochs between later halvings", least=1)
    weighted: bool = knob(False, "draw bags with replacement, both labels equally often")
    freeze: bool = knob(False, "train only the head and the pooling, not the backbone")
    mixed_precision: bool = knob(False, "train and evaluate in bfloat16 if there is a GPU")
    compile: bool = knob(False, "train the backbone through torch.compile; on a CPU it needs a C++ compiler")
    evaluation_batch: int = knob(128, "bags in a batch of validation or test", least=1)
    threads: int = knob(
        0, "threads of training; their number changes the last bits; 0: as torch chooses", least=0, below=1025
    )
    keep_weights: str = knob("last", "weights kept of those that selected, for `replay`: last, best (and last), all")

    def __post_init__(self) -> None:
        check_knobs(self, "training")
        if self.keep_weights not in KEEP:
            raise UnknownName("training.keep_weights", self.keep_weights, KEEP)
        if self.optimiser not in OPTIMISERS:
            raise UnknownName("training.optimiser", self.optimiser, OPTIMISERS)
        if self.correction not in CORRECTIONS:
            raise UnknownName("training.correction", self.correction, CORRECTIONS)
        if self.schedule not in SCHEDULES:
            raise UnknownName("training.schedule", self.schedule, SCHEDULES)
        if 0 < self.budget < self.batch:
            found, expected = f"training.budget={self.budget:g}", f"at least a batch, {self.batch} bags"
            raise BadInput(found, expected, "raise training.budget, or lower training.batch")
        if not self.bag_loss and not self.instance_loss.enabled:
            found = "training.bag_loss=0 without a loss of instances"
            raise BadInput(found, "one of both", "set training.instance_loss.positive or .negative")
        if self.prior not in PRIORS and not _is_positive(self.prior):
            raise BadInput(
                f"training.prior={self.prior}", f"{', '.join(PRIORS)}, or above 0 and below {MOST:g}", "correct it"
            )
        if self.weighted and self.stratified:
            found = "training.weighted and training.stratified"
            raise BadInput(found, "one of both", "leave one out: weighted draws are without strata")

    def negative_share(self, positives: int, pool: int) -> float | None:
        """The total weight of negatives over that of positives; None leaves both as they are drawn."""
        if self.prior == "none":
            return None
        return {"balanced": 1.0, "natural": pool / max(1, positives)}.get(self.prior) or float(self.prior)

    def learning_rate(self, epoch: int, done: float = 0.0) -> float:
        """The rate of a step in an `epoch` when the share `done` of the run is over.

        In steps it is `lr`, halved after `halve_from` epochs and again after every `halve_every` more.
        """
        if self.schedule == "linear":
            return self.lr * (done / self.warmup if done < self.warmup else (1 - done) / (1 - self.warmup))
        if not self.halve_from or epoch < self.halve_from:
            return self.lr
        return float(self.lr * 0.5 ** (1 + (epoch - self.halve_from) // self.halve_every))


@dataclass(frozen=True)
class AugmentConfig:
    """The augmentation of clips and images in training, which is off by default."""

    mixup: float = knob(0.0, "share of clips that are mixed with another clip of the epoch; clips only", least=0)
    mixup_alpha: float = knob(10.0, "the shares of a mixture are drawn from Beta(alpha, alpha)", above=0)
    freq_mask: int = knob(0, "maximum width of the mask of each clip, in mel bands; clips only", least=0)
    time_mask: int = knob(0, "maximum width of the mask of each clip, in frames; clips only", least=0)

    flip: bool = knob(False, "mirror every other image, at random; images only")
    shift: int = knob(0, "most pixels that the images of a bag are shifted by, each way; images only", least=0)

    def __post_init__(self) -> None:
        check_knobs(self, "augment")
        if self.mixup > 1:
            raise BadInput(f"augment.mixup={self.mixup}", "a share between 0 and 1", "correct augment.mixup")

    @property
    def of_clips(self) -> bool:
        """Whether clips are augmented at all."""
        return self.mixup > 0 or self.freq_mask > 0 or self.time_mask > 0

    @property
    def of_images(self) -> bool:
        """Whether images are augmented at all."""
        return self.flip or self.shift > 0


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


def _is_positive(text: str) -> bool:
    """Whether a text is a finite number above 0."""
    try:
        return 0 < float(text) < MOST
    except ValueError:
        return False
