"""What `strategy.name=auto` stands for in a run: what the committed results support for its budget, bags and ratio."""

import logging
from collections.abc import Callable
from dataclasses import replace

from negsift.common.config import AUTO
from negsift.common.data.bags import density_range
from negsift.common.data.config import DataConfig
from negsift.deploy.run_config import RunConfig

log = logging.getLogger(__name__)
_PHOTOGRAPHS = ("cifar10", "images")
"""Datasets like the one that scores were measured on, and found to pay."""
_LARGEST_RATIO, _LEAST_DENSITY = 2.0, 1 / 3
"""Scores paid at a ratio of 1 and not at 5; and where three of five instances of a positive bag were positive."""


def untold(line: str) -> None:
    """Tells nobody: for those who have been told."""


def with_strategy(config: RunConfig, tell: Callable[[str], object] = log.info) -> RunConfig:
    """The config with a strategy's name in place of `auto`; `tell` gets a line that says which, and why."""
    if config.strategy.name != AUTO:
        return config
    name, reason = _choice(config)
    tell(f"strategy.name={name}, chosen since {reason} (docs/results.md)")
    return replace(config, strategy=replace(config.strategy, name=name))


def _choice(config: RunConfig) -> tuple[str, str]:
    """The strategy, and why, as the end of a sentence."""
    sampling, training = config.sampling, config.training
    if training.budget or training.seconds:
        return "walk", "at equal cost no choice by scores was better than bags in turn"
    if config.data.name not in _PHOTOGRAPHS:
        return "walk", "scores were measured to pay on bags of photographs alone"
    if sampling.ratio > _LARGEST_RATIO:
        return "walk", f"with few negatives, sampling.ratio={sampling.ratio:g}, no choice by scores was above random"
    if _is_sparse(config.data):
        return "walk", "scores were not measured where few instances of a positive bag are positive"
    return "svm_margin", "at as many negatives as positives, and no budget, it was the best of those that choose"


def _is_sparse(data: DataConfig) -> bool:
    """Whether on average few instances of a positive bag are known to be positive."""
    if not data.reads("density") or data.density == "natural":
        return False
    least, most = density_range(data.density, data.bag_size)
    return (least + most) / 2 < _LEAST_DENSITY * data.bag_size
