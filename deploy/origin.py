"""What the selections of a run are made from besides weights: its data, by digests, and settings."""

from collections.abc import Mapping
from dataclasses import asdict

from negsift.common.data.split import Split
from negsift.deploy.run_config import RunConfig
from negsift.service.strategies import make_strategy
from negsift.service.strategies.full import Full
from negsift.trainer.folder import Json


def negatives(config: RunConfig, split: Split) -> int | None:
    """The negatives of an epoch; None for all of them. Raises BadInput if there would be none."""
    full = isinstance(make_strategy(config.strategy), Full)
    return None if full else config.sampling.negatives(len(split.positives))


def origin(config: RunConfig, split: Split, digests: Mapping[str, str]) -> Json:
    """What is recorded with every selection of the run, in plain values; shards and fleet are not part of it. `digests`
    are those of the split's parts.
    """
    return {
        "pool": digests["pool"], "positives": digests["positives"],
        "strategy": asdict(config.strategy), "policy": asdict(config.sampling.policy), "model": asdict(config.model),
        "scoring": asdict(config.fleet.scoring), "block": config.fleet.block,
        "k": negatives(config, split), "target": config.data.target, "seed": config.seed,
    }  # fmt: skip
