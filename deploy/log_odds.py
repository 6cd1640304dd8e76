"""The offsets of log-odds of a run whose loss has them, `training.correction=offset`."""

from typing import TYPE_CHECKING

from negsift.common.errors import BadInput
from negsift.deploy.run_config import RunConfig
from negsift.service.strategies import make_strategy
from negsift.service.strategies.ht_gumbel import HtGumbel

if TYPE_CHECKING:  # which needs torch
    from negsift.trainer.log_odds import Offset


def offset_of(config: RunConfig) -> "Offset | None":
    """What gives the offsets; None where negatives are weighted. Raises BadInput where their chances are not known:
    with a strategy that does not draw by them, and where the weights that drew are not those that train.
    """
    if config.training.correction != "offset":
        return None
    strategy, sampling = make_strategy(config.strategy), config.sampling
    if not isinstance(strategy, HtGumbel):
        raise BadInput(f"training.correction=offset with {config.strategy.name}", "ht_gumbel", "leave it at weight")
    unusual = {
        "every": sampling.every != 1, "staleness": sampling.staleness > 0, "score": sampling.score != "fresh",
        "rescore": bool(sampling.rescore),
    }  # fmt: skip
    for key, is_set in unusual.items():
        if is_set:
            found = f"training.correction=offset with sampling.{key}={getattr(sampling, key)}"
            raise BadInput(found, "negatives drawn by the weights of the epoch", f"leave sampling.{key} alone")
    if config.augment.mixup:
        raise BadInput("training.correction=offset with augment.mixup", "bags of one label", "leave one out")
    return strategy.offset
