"""The sampler that chooses a run's positives by a strategy, where its configuration names one."""

import functools

from torch import nn

from negsift.common.data.protocols import BagDataset
from negsift.common.data.split import Split
from negsift.common.round_policy import RoundPolicy
from negsift.deploy.run_config import RunConfig
from negsift.service.config import FleetConfig
from negsift.service.sampler import NegativeSampler
from negsift.trainer.config import WALK
from negsift.trainer.epoch_positives import MakeSampler


def positive_sampler(config: RunConfig, split: Split, model: nn.Module) -> MakeSampler | None:
    """What makes the sampler of positives, in the process that trains; None where each has its turn."""
    if config.sampling.positives_by == WALK:
        return None
    return functools.partial(_make, config, split.positives, model)


def _make(config: RunConfig, positives: BagDataset, model: nn.Module) -> NegativeSampler:
    """Positives are few, so they are scored in this process; their target is the class that they do not have."""
    options = FleetConfig(kind="local", shards=1, block=config.fleet.block, scoring=config.fleet.scoring)
    policy, sampling = RoundPolicy(random_rounds=config.sampling.random_rounds), config.sampling
    return NegativeSampler(
        positives, model, strategy=sampling.positives_by, k=sampling.positives, seed=config.seed, target=0,
        policy=policy, options=options,
    )  # fmt: skip
