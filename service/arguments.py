"""What a sampler is given, checked before any work is done."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from negsift.common.arrays import Index
from negsift.common.errors import BadInput
from negsift.service.selection.coordinator import check_round
from negsift.service.strategies import StrategyConfig, make_strategy
from negsift.service.strategies.base import Strategy
from negsift.service.strategies.full import Full


def require_dataset(given: object, name: str) -> None:
    """Raise BadInput unless `given` is a map-style dataset."""
    sized = hasattr(given, "__len__") and hasattr(given, "__getitem__")
    if isinstance(given, (str, bytes, Mapping)) or not sized:
        raise BadInput(
            f"{name} of type {type(given).__name__}",
            "a map-style dataset of bags, with len() and [i], or the path of a bag table",
            "wrap it in a torch Dataset",
        )


def resolve_strategy(given: object) -> Strategy:
    """The strategy itself, or the one of that name."""
    if isinstance(given, str):
        return make_strategy(StrategyConfig(given))
    if not isinstance(given, Strategy):
        found = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
        raise BadInput(f"{found} as strategy", "a name or a Strategy", "give a name of `list`, or an object")
    return given


def resolve_k(k: int | None, strategy: Strategy, pool: int) -> int:
    """How many negatives to choose from a pool of that size; all for `full`."""
    if isinstance(strategy, Full):
        return pool
    if k is None:
        raise BadInput("no k", "how many negatives to select each epoch", "give k=, or strategy='full'")
    check_round(k, pool)
    return int(k)


def require_positives(strategy: Strategy, positives: int) -> None:
    """Raise BadInput if the strategy learns from positives and there are none."""
    if strategy.learns_from_positives and not positives:
        raise BadInput(
            f"no positives for {type(strategy).__name__}", "the positive bags, from which it learns", "give positives="
        )


def require_whole(name: str, number: object) -> None:
    """Raise BadInput unless `number` is an int; randomness is born from it, and None would be a seed, too."""
    if not isinstance(number, (int, np.integer)):
        raise BadInput(f"{name}={number!r}", "a whole number", f"correct {name}=")


def check_version(version: int, epoch: int, staleness: int | None) -> None:
    """Raise BadInput unless weights of `version` may choose for `epoch`: not newer, at most `staleness` behind."""
    require_whole("epoch", epoch)
    require_whole("version", version)
    if epoch < 0:
        raise BadInput(f"epoch={epoch}", "0 or more", "count epochs from 0")
    if not epoch - (epoch if staleness is None else staleness) <= version <= epoch:
        least = "0" if staleness is None else f"{epoch - staleness}, a staleness of {staleness}"
        raise BadInput(
            f"weights of version {version} for epoch {epoch}", f"one from {least}, to {epoch}", "give newer weights"
        )


def previous_of(state: Mapping[str, Any], pool: int) -> Index | None:  # Any: tensors, arrays and numbers
    """The last selection in a sampler's `state_dict`; raises BadInput if it is none, or one of another pool."""
    if not isinstance(state, Mapping) or "previous" not in state:
        raise BadInput(f"a state of type {type(state).__name__} without 'previous'", "a state_dict()", "give that")
    if state["previous"] is None:
        return None
    previous: Index = np.array(state["previous"], dtype=np.int64)
    if len(previous) and not 0 <= previous.min() <= previous.max() < pool:
        raise BadInput(
            f"a state with position {previous.max()}", f"positions in a pool of {pool}", "give this pool's state"
        )
    return previous
