"""What users give a sampler, resolved and checked before any work is done."""

from collections.abc import Mapping
from pathlib import Path

from negsift.common.data.protocols import BagDataset
from negsift.common.data.table.bags import TableBags, open_pool, open_positives
from negsift.common.errors import BadInput
from negsift.common.round_policy import RoundPolicy
from negsift.service.strategies import StrategyConfig, make_strategy
from negsift.service.strategies.base import Strategy


def resolve_pool(pool: BagDataset | str | Path, label: str | None) -> BagDataset:
    """The dataset itself, or the bags negative for `label` of the table at a path or URI; raises BadInput."""
    if isinstance(pool, (str, Path)):
        return open_pool(pool, label)
    require_dataset(pool, "a pool")
    if label is not None and not isinstance(pool, TableBags):
        raise BadInput(f"target_label={label!r} with a pool that is no path", "a path or URI", "leave it out")
    return pool


def resolve_positives(positives: BagDataset | str | Path | None, label: str | None) -> BagDataset:
    """The dataset, empty for None, or a table's bags positive for `label`, without which a path raises BadInput."""
    if positives is None:
        return ()
    if not isinstance(positives, (str, Path)):
        require_dataset(positives, "positives")
        return positives
    if label is None:
        raise BadInput("positives by path without target_label", "the label they are positive for", "give it")
    return open_positives(positives, label)


def require_dataset(dataset: object, name: str) -> None:
    """Raise BadInput unless `dataset` is a map-style dataset."""
    sized = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
    if isinstance(dataset, (str, bytes, Mapping)) or not sized:
        expected = "a map-style dataset of bags, with len() and [i], or the path of a bag table"
        raise BadInput(f"{name} of type {type(dataset).__name__}", expected, "wrap it in a torch Dataset")


def resolve_strategy(strategy: object) -> Strategy:
    """The strategy itself, or the one of that name; raises BadInput for anything else."""
    if isinstance(strategy, str):
        return make_strategy(StrategyConfig(strategy))
    if not isinstance(strategy, Strategy):
        kind = f"the class {strategy.__name__}" if isinstance(strategy, type) else f"a {type(strategy).__name__}"
        raise BadInput(f"{kind} as strategy", "a name or a Strategy", "give a name of `list`, or an object")
    return strategy


def resolve_policy(policy: RoundPolicy | None, shortcuts: RoundPolicy) -> RoundPolicy:
    """The policy given as a whole or by `shortcuts` for its fields; raises BadInput for both, or for another type."""
    require_kind(policy, RoundPolicy, "policy")
    if policy is None:
        return shortcuts
    if shortcuts != RoundPolicy():
        raise BadInput("policy= and a shortcut for one of its fields", "one of both", "set the policy's field")
    return policy


def require_kind(value: object, kind: type, name: str) -> None:
    """Raise BadInput unless `value` is a `kind` or None."""
    if value is not None and not isinstance(value, kind):
        raise BadInput(f"{name}={value!r}", f"a {kind.__name__}", f"give {name}={kind.__name__}(...)")
