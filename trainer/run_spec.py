"""What a run is made from: bags, model, sampler, folder, loggers, and its configuration."""

from dataclasses import dataclass, field

from torch import nn

from negsift.common.data.split import Split
from negsift.common.protocols import Sampler
from negsift.trainer.config import AugmentConfig, SamplingConfig, TrainingConfig
from negsift.trainer.epoch_positives import MakeSampler
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.log_odds import Offset
from negsift.trainer.loggers.logger import Logger


@dataclass(frozen=True)
class RunSpec:
    """What a run is made from, in a form that can be sent to its workers; `facts` are copied into its summary.

    `loggers` get its numbers: each epoch's, and at the end those of the test. `origin` is recorded with every
    selection: the digests of data and the settings that it is made from. `choose_positives` makes the sampler of
    positives, where a strategy chooses them; `offset` gives the offsets of log-odds, where the loss has them.
    """

    split: Split
    model: nn.Module
    sampler: Sampler
    folder: RunFolder
    facts: Json
    loggers: tuple[Logger, ...] = ()
    origin: Json = field(default_factory=dict)
    choose_positives: MakeSampler | None = None
    offset: Offset | None = None


@dataclass(frozen=True)
class TrainerConfig:
    """The parts of a run's configuration that concern the trainer."""

    training: TrainingConfig
    sampling: SamplingConfig
    augment: AugmentConfig
