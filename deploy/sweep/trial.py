"""A trial of a sweep: one run, whose folder is named after its configuration."""

import functools
import re
from dataclasses import dataclass, replace

from negsift.common.errors import BadInput
from negsift.deploy.run_config import RunConfig, digest
from negsift.trainer.config import SamplingConfig

_ODD = re.compile(r"[^\w.-]+")
_LONGEST = 40


@dataclass(frozen=True)
class TrialSpec:
    """A run of the sweep. Trials of equal configuration have equal names, in whatever sweep they are."""

    config: RunConfig

    @functools.cached_property
    def name(self) -> str:
        """Strategy, target and seed to read, and a hash of every setting that changes the result."""
        strategy, target = self.config.strategy.name, self.config.data.target
        readable = _ODD.sub("_", f"{strategy}-{target}")[:_LONGEST]
        return f"{readable}-seed{self.config.seed}-{digest(self.config)}"

    @property
    def group(self) -> str:
        """The same for trials of the same bags: only those can be compared with each other early."""
        return digest(RunConfig("", data=self.config.data))


def trial_of(config: RunConfig) -> TrialSpec:
    """The trial of a configuration, with what depends on the place fixed: one thread, and scoring in its own process.

    The full set has no use for the settings of sampling, which are the defaults then. Raises BadInput for several
    trainer workers.
    """
    if config.training.workers > 1:
        found = f"training.workers={config.training.workers} in a sweep"
        raise BadInput(found, "1, since trials run side by side", "remove it, or train that run alone")
    sampling = SamplingConfig() if config.strategy.name == "full" else config.sampling
    training = replace(config.training, threads=config.training.threads or 1)
    fleet = config.fleet if config.fleet.kind == "ray" else replace(config.fleet, kind="local", shards=1)
    return TrialSpec(replace(config, sampling=sampling, training=training, fleet=fleet))
