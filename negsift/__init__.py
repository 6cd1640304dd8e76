"""negsift picks, every epoch, the negative bags worth training on. These are its public names.

They are imported when they are first used, so that the command line starts without torch and Ray.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from negsift.common.data.table.bags import TableBags as TableBags
    from negsift.common.data.table.build import build_table as build_table
    from negsift.common.data.table.sources.source import BuildConfig as BuildConfig
    from negsift.common.guards import Guards as Guards
    from negsift.common.models.bag import BagClassifier as BagClassifier
    from negsift.common.models.pooling import make_pooling as make_pooling
    from negsift.common.round_policy import RoundPolicy as RoundPolicy
    from negsift.common.types import Embedded as Embedded
    from negsift.common.types import Need as Need
    from negsift.common.types import Round as Round
    from negsift.common.types import Selection as Selection
    from negsift.service.config import FleetConfig as FleetConfig
    from negsift.service.sampler import NegativeSampler as NegativeSampler
    from negsift.service.scoring.scoring_config import ScoringConfig as ScoringConfig
    from negsift.service.serving.attach import attach as attach
    from negsift.service.strategies.base import Prepared as Prepared
    from negsift.service.strategies.base import Strategy as Strategy
    from negsift.trainer.callbacks.accelerate import AcceleratedSelection as AcceleratedSelection
    from negsift.trainer.callbacks.huggingface import HuggingFaceSelection as HuggingFaceSelection
    from negsift.trainer.callbacks.lightning import LightningSelection as LightningSelection
    from negsift.trainer.epoch_bags import EpochBags as EpochBags

_HOMES = {
    "AcceleratedSelection": "trainer.callbacks.accelerate",
    "BagClassifier": "common.models.bag",
    "BuildConfig": "common.data.table.sources.source",
    "Embedded": "common.types",
    "EpochBags": "trainer.epoch_bags",
    "FleetConfig": "service.config",
    "Guards": "common.guards",
    "HuggingFaceSelection": "trainer.callbacks.huggingface",
    "LightningSelection": "trainer.callbacks.lightning",
    "Need": "common.types",
    "NegativeSampler": "service.sampler",
    "Prepared": "service.strategies.base",
    "Round": "common.types",
    "RoundPolicy": "common.round_policy",
    "ScoringConfig": "service.scoring.scoring_config",
    "Selection": "common.types",
    "Strategy": "service.strategies.base",
    "TableBags": "common.data.table.bags",
    "attach": "service.serving.attach",
    "build_table": "common.data.table.build",
    "make_pooling": "common.models.pooling",
}
_EXTRAS = {
    "AcceleratedSelection": "accelerate",
    "HuggingFaceSelection": "transformers",
    "LightningSelection": "lightning",
}
__all__ = [name for name in _HOMES if name not in _EXTRAS]


def __getattr__(name: str) -> object:
    """A public name, from the module that defines it. Raises ImportError for one whose library isn't installed."""
    if name not in _HOMES:
        raise AttributeError(f"module 'negsift' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"negsift.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != (extra := _EXTRAS.get(name)):
            raise
        raise ImportError(f"found no {extra} for {name}; expected it; pip install 'negsift[{extra}]'") from error
