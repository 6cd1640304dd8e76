"""What a run is made of, in a form that can be sent to its workers."""

from dataclasses import dataclass

from torch import nn

from negsift.common.data.split import Split
from negsift.common.protocols import Sampler
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.learner import Learner
from negsift.trainer.rank0 import Rank0Folder, Rank0Sampler
from negsift.trainer.team import Team
from negsift.trainer.trainer import Materials, Schedule, Trainer


@dataclass(frozen=True)
class RunSpec:
    """The bags, the untrained model, the sampler, the run's folder, and facts for its summary."""

    split: Split
    model: nn.Module
    sampler: Sampler
    folder: RunFolder
    facts: Json

    def trainer(self, schedule: Schedule, seed: int, team: Team | None = None) -> Trainer:
        """The trainer of one worker of a team, or of the only one."""
        team = team or Team()
        learner = Learner(self.model, schedule.training, seed, team)
        sampler, folder = Rank0Sampler(team, self.sampler), Rank0Folder(self.folder.path, team)
        return Trainer(Materials(self.split, learner, sampler, folder, self.facts), schedule, seed)
