"""The configuration of a run: all that it depends on, and what names it."""

import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from negsift.common.config import AUTO, knob
from negsift.common.data.config import DataConfig
from negsift.common.models.config import USUAL, ModelConfig
from negsift.common.overrides import flat, keys, to_dict
from negsift.service.config import FleetConfig
from negsift.service.strategies import StrategyConfig
from negsift.trainer.config import AugmentConfig, LogConfig, SamplingConfig, TrainingConfig

FREE = {key for key in keys(FleetConfig, "fleet.") if key != "fleet.block" and not key.startswith("fleet.scoring.")}
FREE |= {"name", "training.workers", "training.keep_weights", "fleet.scoring.pinned", *keys(LogConfig, "log.")}
"""Keys that may change when a run is resumed: its name, where scoring and training happen, what is kept and logged.

Among them are keys that only earlier versions had and that changed no result: their runs stay what they are.
"""


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on."""

    recipe: str
    name: str = knob("", "what reports call the run; empty: by its strategy and what else distinguishes it")
    seed: int = knob(0, "seed of weights, order and random picks; the bags have data.bag_seed")
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fleet: FleetConfig = field(default_factory=FleetConfig)
    log: LogConfig = field(default_factory=LogConfig)


def default_folder(config: RunConfig) -> Path:
    """A folder named after the recipe, with the configuration's digest, so that the same command finds it again."""
    return Path("runs") / f"{config.recipe}-{config.strategy.name}-seed{config.seed}-{digest(config)}"


def digest(config: RunConfig) -> str:
    """A hash of the settings that change the result and differ from the defaults.

    So a setting that a later version adds leaves the hashes of earlier runs as they are.
    """
    default, values = flat(defaults()), flat(to_dict(config))
    if values["model.name"] == AUTO:
        values["model.name"] = USUAL["features"]  # as the recipe of tables said before, which folders are named after
    chosen = {key: value for key, value in values.items() if value != default[key] and key not in FREE}
    return hashlib.blake2b(json.dumps(chosen, sort_keys=True).encode(), digest_size=4).hexdigest()


@functools.cache
def defaults() -> dict[str, Any]:  # Any: JSON
    """Every setting at its default, as sections; not to be changed."""
    return to_dict(RunConfig(""))
