"""Everything that a run is made from, in a form that can be sent to its workers."""

from dataclasses import dataclass

from torch import nn

from negsift.common.data.split import Split
from negsift.common.protocols import Sampler
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.learner import Learner
from negsift.trainer.rank0 import Rank0Folder, Rank0Sampler
from negsift.trainer.trainer import RunResources, Trainer, TrainerConfig
from negsift.trainer.worker_group import WorkerGroup


@dataclass(frozen=True)
class RunSpec:
    """The bags, the untrained model, the sampler, the run's folder, and facts for its summary."""

    split: Split
    model: nn.Module
    sampler: Sampler
    folder: RunFolder
    facts: Json

    def trainer(self, config: TrainerConfig, seed: int, group: WorkerGroup | None = None) -> Trainer:
        """The trainer of one worker of `group`, by default of a single worker."""
        group = group or WorkerGroup()
        learner = Learner(self.model, config.training, seed, group)
        sampler, folder = Rank0Sampler(group, self.sampler), Rank0Folder(self.folder.path, group)
        return Trainer(RunResources(self.split, learner, sampler, folder, self.facts), config, seed)
